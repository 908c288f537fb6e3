//! What several teachers have in common: the mean of what?

/// What of its members an [`Ensemble`](super::Ensemble) averages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Averaging {
    /// The probabilities: a class is as likely as the members think on average. A class is masked
    /// only where every member masks it.
    #[default]
    Probabilities,
    /// The logits: the geometric mean of the probabilities, as any one member can rule a class out.
    /// A class is masked where some member masks it.
    Logits,
}
