//! A request's query as pairs, so that every mistake in it gets a sentence of our own.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

use super::ApiError;
use crate::change::quoted;

/// The pairs as an extractor gives them.
pub(super) type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// The pairs in their order; refuses a name that comes twice.
pub(super) fn pairs(query: Pairs) -> Result<Vec<(String, String)>, ApiError> {
    let Query(pairs) = query.map_err(|_| ApiError::bad("query", "the query cannot be read"))?;
    for (at, (name, _)) in pairs.iter().enumerate() {
        if pairs[..at].iter().any(|(before, _)| before == name) {
            return Err(ApiError::bad("query", format!("the query says {} twice", quoted(name))));
        }
    }
    Ok(pairs)
}
