//! The token that a server beyond loopback asks for.

use std::fmt;

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use super::COOKIE;

/// A shared secret. Never printed by `Debug`.
#[derive(Clone)]
pub struct Token(String);

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenError;

/// Characters of a token at least: with 6 bits each more than anybody can try.
const LEAST: usize = 16;
const MOST: usize = 256;

impl Token {
    /// Takes a token of 16 to 256 letters, digits, `-`, `_`, `.` or `~`.
    ///
    /// # Errors
    /// For any other text.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let sound = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte));
        if sound && (LEAST..=MOST).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TokenError)
        }
    }

    /// A new token from the system's randomness.
    ///
    /// # Panics
    /// When the system has none.
    #[must_use]
    pub fn random() -> Self {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut bytes = [0; 24];
        getrandom::fill(&mut bytes).expect("the system gives random bytes");
        Self(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).collect())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` is this token; takes as long for a near miss as for a far one.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a token has {LEAST} to {MOST} letters, digits, `-`, `_`, `.` or `~`")
    }
}

impl std::error::Error for TokenError {}

/// The tokens that a request shows: as a bearer, and as the cookie of a login.
pub(super) fn shown(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let bearers = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = cookies.flat_map(|value| value.split(';')).filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    });
    bearers.chain(cookies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(token.is("0123456789abcdef"));
        for wrong in ["", "0123456789abcdeF", "0123456789abcde", "0123456789abcdef0"] {
            assert!(!token.is(wrong), "{wrong:?}");
        }
        for bad in ["", "short", "0123456789abcde;", "0123456789 abcdef", &"x".repeat(257)] {
            assert!(Token::new(bad).is_err(), "{bad:?}");
        }
        let random = Token::random();
        assert!(Token::new(random.as_str()).is_ok() && !random.is(Token::random().as_str()));
        assert!(!format!("{random:?}").contains(random.as_str()));
    }

    #[test]
    fn bearer_and_cookie_are_found() {
        let mut headers = HeaderMap::new();
        headers.append(header::AUTHORIZATION, "Basic abc".parse().unwrap());
        headers.append(header::AUTHORIZATION, "bearer one".parse().unwrap());
        headers.append(header::COOKIE, "a=b; gesto_token=two; xgesto_token=no".parse().unwrap());
        assert_eq!(shown(&headers).collect::<Vec<_>>(), ["one", "two"]);
    }
}
