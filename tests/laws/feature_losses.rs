//! The losses over features that the laws are asked of: a new one is a line here.

use rarefy::Float;
use rarefy::distill::{
    AttentionKl, AttentionMeasure, AttentionMse, AttentionTransfer, CongruenceKernel,
    CorrelationCongruence, Dist, Fsp, HiddenCosine, HiddenMse, Loss, MiniLm, MiniLmRelations, Mmd,
    MmdKernel, PatientHidden, Pkt, Reduction, RelationKl, RelationalAngle, RelationalDistance,
    SimilarityPreserving, TemperatureFactor,
};

/// What a weight of an example is to a loss.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Weights {
    /// A factor.
    Scale,
    /// In the batch or not.
    Choose,
}

/// A loss, the shapes of the features that it compares on either side, and what holds for it.
pub(crate) struct Entry<F> {
    pub(crate) name: &'static str,
    pub(crate) loss: Box<dyn Loss<F>>,
    pub(crate) student: Vec<(&'static str, &'static [usize])>,
    pub(crate) teacher: Vec<(&'static str, &'static [usize])>,
    pub(crate) weights: Weights,
    pub(crate) zero_at_equality: bool,
}

pub(crate) const BATCH: usize = 5;
pub(crate) const CLASSES: usize = 4;

/// Features that belong to the batch as a whole, or say what is in it.
pub(crate) const SHARED: [&str; 3] = ["proj", "bias", "mask"];

pub(crate) fn all<F: Float>() -> Vec<Entry<F>> {
    let mut all = Vec::new();
    let mut add = |name, loss: Box<dyn Loss<F>>, student: &[_], teacher: &[_], weights| {
        all.push(Entry {
            name,
            loss,
            student: student.to_vec(),
            teacher: teacher.to_vec(),
            weights,
            zero_at_equality: true,
        });
    };
    use Weights::{Choose, Scale};
    const H: &[usize] = &[BATCH, 3, 4];
    const WIDE: &[usize] = &[BATCH, 3, 6];
    const FLAT: &[usize] = &[BATCH, 7];
    const MAP: &[usize] = &[BATCH, 4, 2, 3];
    const MAPS: &[usize] = &[BATCH, 6, 2, 3];
    const SCORES: &[usize] = &[BATCH, 2, 4, 4];
    const HEADS: &[usize] = &[BATCH, 2, 4, 3];
    const MASK: &[usize] = &[BATCH, 4];

    let h = [("h", H)];
    add(
        "hidden mse",
        Box::new(HiddenMse::new("h", "h")),
        &h,
        &h,
        Scale,
    );
    let sum = HiddenMse::new("h", "h").reduction(Reduction::Sum);
    add("hidden mse sum", Box::new(sum), &h, &h, Scale);
    let projected = [("h", H), ("proj", &[4, 6]), ("bias", &[6])];
    let loss = HiddenMse::new("h", "t").projection("proj").bias("bias");
    add(
        "hidden mse projected",
        Box::new(loss),
        &projected,
        &[("t", WIDE)],
        Scale,
    );
    let loss = HiddenCosine::new("h", "h");
    add("hidden cosine", Box::new(loss), &h, &h, Scale);
    let loss = HiddenCosine::new("h", "t").projection("proj");
    add(
        "hidden cosine projected",
        Box::new(loss),
        &projected,
        &[("t", WIDE)],
        Scale,
    );
    let loss = PatientHidden::new("h", "h");
    add("patient hidden", Box::new(loss), &h, &h, Scale);

    let a = [("a", SCORES)];
    let masked = [("a", SCORES), ("mask", MASK)];
    add(
        "attention mse",
        Box::new(AttentionMse::new("a", "a")),
        &a,
        &a,
        Scale,
    );
    let loss = AttentionMse::new("a", "a")
        .key_mask("mask")
        .query_mask("mask");
    add("attention mse masked", Box::new(loss), &a, &masked, Scale);
    let loss = AttentionKl::new("a", "a").masked_at_or_below(-1.0);
    add("attention kl threshold", Box::new(loss), &a, &a, Scale);
    let loss = AttentionKl::new("a", "a").key_mask("mask");
    let loss = loss.reduction(Reduction::MeanOverWeights);
    add("attention kl masked", Box::new(loss), &masked, &a, Scale);

    let qkv = [("q", HEADS), ("k", HEADS), ("v", HEADS)];
    let masked = [("q", HEADS), ("k", HEADS), ("v", HEADS), ("mask", MASK)];
    let names = ["q", "k", "v"];
    let loss = RelationKl::new(["q", "k"], ["q", "k"]).reduction(Reduction::MeanOverElements);
    add("relation kl", Box::new(loss), &qkv, &qkv, Scale);
    add(
        "minilm",
        Box::new(MiniLm::new(names, names)),
        &qkv,
        &qkv,
        Scale,
    );
    let loss = MiniLm::new(names, names)
        .mask("mask")
        .relations(MiniLmRelations::Selves);
    add("minilm v2 masked", Box::new(loss), &qkv, &masked, Scale);

    let (map, maps) = ([("h", MAP)], [("h", MAPS)]);
    add(
        "attention transfer",
        Box::new(AttentionTransfer::new("h", "h")),
        &map,
        &maps,
        Scale,
    );
    let loss = AttentionTransfer::new("h", "h").power(1.5);
    add("attention transfer 1.5", Box::new(loss), &map, &maps, Scale);
    let two = [("h", MAP), ("g", MAPS)];
    add(
        "fsp",
        Box::new(Fsp::new(["h", "g"], ["h", "g"])),
        &two,
        &two,
        Scale,
    );
    add("gram", Box::new(Fsp::gram("h", "h")), &map, &map, Scale);
    add("mmd", Box::new(Mmd::new("h", "h")), &map, &maps, Scale);
    let loss = Mmd::new("h", "h").kernel(MmdKernel::Linear);
    add("mmd linear", Box::new(loss), &map, &maps, Scale);

    let flat = [("h", FLAT)];
    add(
        "relational distance",
        Box::new(RelationalDistance::new("h", "h")),
        &h,
        &flat,
        Choose,
    );
    add(
        "relational angle",
        Box::new(RelationalAngle::new("h", "h")),
        &h,
        &flat,
        Choose,
    );
    add(
        "similarity",
        Box::new(SimilarityPreserving::new("h", "h")),
        &h,
        &flat,
        Choose,
    );
    add("pkt", Box::new(Pkt::new("h", "h")), &h, &flat, Choose);
    add(
        "congruence",
        Box::new(CorrelationCongruence::new("h", "h")),
        &h,
        &flat,
        Choose,
    );
    let kernel = CongruenceKernel::Gaussian { gamma: 0.7 };
    let loss = CorrelationCongruence::new("h", "h").kernel(kernel);
    add("congruence gaussian", Box::new(loss), &h, &flat, Choose);
    add("dist", Box::new(Dist::new(1.0)), &[], &[], Choose);
    let loss = Dist::new(3.0)
        .inter(0.3)
        .temperature_factor(TemperatureFactor::One);
    add("dist at 3", Box::new(loss), &[], &[], Choose);

    let loss = AttentionKl::new("a", "a").measure(AttentionMeasure::CrossEntropy);
    add("attention cross-entropy", Box::new(loss), &a, &a, Scale);
    if let Some(entry) = all.last_mut() {
        entry.zero_at_equality = false;
    }
    all
}
