//! What a frame gave, and where its time went.

use std::time::Duration;

/// An anchor point whose best class passed the threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Position among all anchor points: finest stride first, then row by row.
    pub anchor: u32,
    /// The best class; the first of several equal ones.
    pub class: u32,
    /// Its logit.
    pub logit: f32,
    /// Its probability.
    pub score: f32,
    /// Left, top, right, bottom in pixels of the network's input.
    pub bbox: [f32; 4],
    /// `x, y, visibility` of each keypoint: pixels of the network's input, visibility 0 to 1. Empty without a pose head.
    pub keypoints: Vec<[f32; 3]>,
}

/// Where a submission's time went. GPU times need [`Timing::Stages`](crate::Timing::Stages) and timestamp queries.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StageTimes {
    /// Host: copying the frames' rows into memory that the GPU can read.
    pub copy: Duration,
    /// Host: recording and submitting the commands.
    pub record: Duration,
    /// Host: from the call to the detections, everything included.
    pub total: Duration,
    /// GPU: resize.
    pub resize: Option<Duration>,
    /// GPU: network.
    pub network: Option<Duration>,
    /// GPU: decoding, threshold and compaction.
    pub decode: Option<Duration>,
}

/// The candidates of every picture of a submission, head by head.
#[derive(Debug, Clone, PartialEq)]
pub struct Detections {
    pub(crate) heads: usize,
    /// `[picture][head]`, each in anchor order.
    pub(crate) candidates: Vec<Vec<Candidate>>,
    pub(crate) times: StageTimes,
}

impl Detections {
    /// Pictures in the submission.
    #[must_use]
    pub fn pictures(&self) -> usize {
        self.candidates.len() / self.heads
    }

    /// Candidates of one picture and head, in anchor order, before non-maximum suppression.
    ///
    /// # Panics
    /// When there is no such picture or head.
    #[must_use]
    pub fn candidates(&self, picture: usize, head: usize) -> &[Candidate] {
        assert!(head < self.heads, "head {head} exists");
        &self.candidates[picture * self.heads + head]
    }

    /// Where the time went.
    #[must_use]
    pub fn times(&self) -> &StageTimes {
        &self.times
    }
}

/// Words of a record before its keypoints.
pub(crate) const RECORD_HEAD: usize = 8;

/// Reads one record that the decoding kernel wrote.
pub(crate) fn parse(words: &[u32]) -> Candidate {
    let real = |i: usize| f32::from_bits(words[i]);
    Candidate {
        anchor: words[0],
        class: words[1],
        logit: real(2),
        score: real(3),
        bbox: [real(4), real(5), real(6), real(7)],
        keypoints: (RECORD_HEAD..words.len())
            .step_by(3)
            .map(|i| [real(i), real(i + 1), real(i + 2)])
            .collect(),
    }
}
