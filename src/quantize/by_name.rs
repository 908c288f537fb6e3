//! Which tensor of a model is quantized how: rules over names and shapes.

use super::{QuantizedTensor, Quantizer};
use crate::error::{Error, Result};
use crate::float::Float;
use ndarray::ArrayViewD;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use wildmatch::WildMatch;

/// Rules that say by name and shape which tensor is quantized how, and which is left as it is.
///
/// Rules are asked in the order in which they were added, and the first that fits decides. Where none fits,
/// [`otherwise`](Self::otherwise) does; without it the tensor is left as it is. A rule is a pattern of the whole name, in
/// which `*` stands for any characters, none and dots among them, and `?` for one character; or a predicate over name
/// and shape, with a label by which it is known in reports.
///
/// | method | rule | what it does |
/// |---|---|---|
/// | [`quantize`](Self::quantize) | pattern | quantizes |
/// | [`leave`](Self::leave) | pattern | leaves as it is |
/// | [`quantize_where`](Self::quantize_where) | predicate | quantizes |
/// | [`leave_where`](Self::leave_where) | predicate | leaves as it is |
/// | [`otherwise`](Self::otherwise) | | what becomes of the rest, instead of leaving it as it is |
///
/// Names are those of the caller's, as in [`prune::Layer`](crate::prune::Layer) and
/// [`GradualPruning`](crate::prune::GradualPruning).
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, Axis, array};
/// use rarefy::quantize::{Linear, QuantizationRules};
///
/// let (embedding, attention) = (Array2::<f32>::ones((10, 4)), Array2::<f32>::ones((4, 4)));
/// let bias = array![0.5_f32, -0.5];
/// let rules = QuantizationRules::new()
///     .leave("*.bias")
///     .quantize("block.*.attention.?.weight", Linear::new(4).per_group(Axis(1), 2))
///     .quantize_where("matrices", |_, shape| shape.len() == 2, Linear::new(8).per_channel(Axis(0)))
///     .quantize("lm_head.*", Linear::new(8));
///
/// let model = rules.apply(&[
///     ("embedding.weight", embedding.view().into_dyn()),
///     ("block.0.attention.q.weight", attention.view().into_dyn()),
///     ("block.0.attention.q.bias", bias.view().into_dyn()),
/// ])?;
/// let by: Vec<_> = model.tensors.iter().map(|tensor| tensor.rule).collect();
/// assert_eq!(by, [Some(2), Some(1), Some(0)]);
/// assert!(model.tensors[2].quantized.is_none()); // left as it is
/// assert_eq!(rules.label(model.unused[0].rule), Some("lm_head.*")); // fits no tensor: a slip of the pen?
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone)]
pub struct QuantizationRules<F> {
    rules: Vec<Rule<F>>,
    otherwise: Option<Arc<dyn Quantizer<F>>>,
}

#[derive(Clone)]
struct Rule<F> {
    label: String,
    fits: Fits,
    /// None leaves as it is.
    quantizer: Option<Arc<dyn Quantizer<F>>>,
}

/// Likes some names and shapes.
type Predicate = dyn Fn(&str, &[usize]) -> bool + Send + Sync;

#[derive(Clone)]
enum Fits {
    Name(WildMatch),
    Predicate(Arc<Predicate>),
}

impl<F> Rule<F> {
    fn fits(&self, name: &str, shape: &[usize]) -> bool {
        match &self.fits {
            Fits::Name(pattern) => pattern.matches(name),
            Fits::Predicate(predicate) => predicate(name, shape),
        }
    }
}

/// What [`QuantizationRules::apply`] did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct QuantizedModel {
    /// Each tensor, in the order given.
    pub tensors: Vec<RuledTensor>,
    /// The rules that decided about no tensor, in their order.
    pub unused: Vec<UnusedRule>,
}

/// What was done with a tensor, and by which rule.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RuledTensor {
    /// Its name.
    pub name: String,
    /// The number of the rule that decided, counted from 0; `None` if none fits.
    pub rule: Option<usize>,
    /// Its codes; `None` if it is left as it is.
    pub quantized: Option<QuantizedTensor>,
}

/// A rule that decided about no tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct UnusedRule {
    /// Its number, counted from 0.
    pub rule: usize,
    /// The earlier rule that decided about the first tensor that this one fits; `None` if it fits none.
    pub behind: Option<usize>,
}

/// How far a call of [`QuantizationRules::apply_watched`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuantizationProgress<'a> {
    /// The tensor that comes next.
    pub name: &'a str,
    /// How many are done.
    pub done: usize,
    /// How many there are.
    pub total: usize,
}

impl<F: Float> Default for QuantizationRules<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Float> QuantizationRules<F> {
    /// No rules: everything is left as it is.
    pub const fn new() -> Self {
        Self {
            rules: Vec::new(),
            otherwise: None,
        }
    }

    fn with(mut self, label: String, fits: Fits, quantizer: Option<Arc<dyn Quantizer<F>>>) -> Self {
        self.rules.push(Rule {
            label,
            fits,
            quantizer,
        });
        self
    }

    /// Quantizes by `quantizer`, which may be a box or an `Arc`, what has a name of this pattern.
    #[must_use]
    pub fn quantize(
        self,
        pattern: impl Into<String>,
        quantizer: impl Quantizer<F> + 'static,
    ) -> Self {
        let label = pattern.into();
        let fits = Fits::Name(WildMatch::new(&label));
        self.with(label, fits, Some(Arc::new(quantizer)))
    }

    /// Leaves as it is what has a name of this pattern.
    #[must_use]
    pub fn leave(self, pattern: impl Into<String>) -> Self {
        let label = pattern.into();
        let fits = Fits::Name(WildMatch::new(&label));
        self.with(label, fits, None)
    }

    /// Quantizes by `quantizer` whatever has a name and a shape that `predicate` likes.
    #[must_use]
    pub fn quantize_where(
        self,
        label: impl Into<String>,
        predicate: impl Fn(&str, &[usize]) -> bool + Send + Sync + 'static,
        quantizer: impl Quantizer<F> + 'static,
    ) -> Self {
        let fits = Fits::Predicate(Arc::new(predicate));
        self.with(label.into(), fits, Some(Arc::new(quantizer)))
    }

    /// Leaves as it is whatever has a name and a shape that `predicate` likes.
    #[must_use]
    pub fn leave_where(
        self,
        label: impl Into<String>,
        predicate: impl Fn(&str, &[usize]) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(label.into(), Fits::Predicate(Arc::new(predicate)), None)
    }

    /// Quantizes by `quantizer` what no rule fits.
    #[must_use]
    pub fn otherwise(mut self, quantizer: impl Quantizer<F> + 'static) -> Self {
        self.otherwise = Some(Arc::new(quantizer));
        self
    }

    /// The pattern or label of a rule; `None` if there are not so many.
    pub fn label(&self, rule: usize) -> Option<&str> {
        self.rules.get(rule).map(|rule| rule.label.as_str())
    }

    /// The number of the rule that decides about a tensor of this name and shape; `None` if none fits.
    pub fn rule_for(&self, name: &str, shape: &[usize]) -> Option<usize> {
        self.rules.iter().position(|rule| rule.fits(name, shape))
    }

    /// What quantizes a tensor of this name and shape; `None` if it is left as it is.
    ///
    /// For calls of your own, [`quantize_masked`](super::QuantizerExt::quantize_masked) for one.
    pub fn quantizer_for(&self, name: &str, shape: &[usize]) -> Option<&dyn Quantizer<F>> {
        self.quantizer(self.rule_for(name, shape))
    }

    fn quantizer(&self, rule: Option<usize>) -> Option<&dyn Quantizer<F>> {
        match rule {
            Some(rule) => self.rules[rule].quantizer.as_deref(),
            None => self.otherwise.as_deref(),
        }
    }

    /// The rules that decide about none of these tensors, in their order: names that nothing has, or rules behind ones
    /// that take all. Needs no weights, so it can be asked before anything is computed.
    ///
    /// # Examples
    ///
    /// ```
    /// use rarefy::quantize::{Linear, QuantizationRules};
    ///
    /// let rules = QuantizationRules::<f32>::new()
    ///     .quantize("*.weight", Linear::new(8))
    ///     .quantize("head.weight", Linear::new(4))
    ///     .leave("hdea.bias");
    /// let unused = rules.unused([("head.weight", &[8, 8][..]), ("head.bias", &[8])]);
    /// assert_eq!((unused[0].rule, unused[0].behind), (1, Some(0))); // too late
    /// assert_eq!((unused[1].rule, unused[1].behind), (2, None)); // no such name
    /// ```
    pub fn unused<'a>(
        &self,
        tensors: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    ) -> Vec<UnusedRule> {
        let mut used = vec![false; self.rules.len()];
        let mut behind = vec![None; self.rules.len()];
        for (name, shape) in tensors {
            let Some(first) = self.rule_for(name, shape) else {
                continue;
            };
            used[first] = true;
            for (behind, rule) in behind[first + 1..].iter_mut().zip(&self.rules[first + 1..]) {
                if behind.is_none() && rule.fits(name, shape) {
                    *behind = Some(first);
                }
            }
        }
        let of = |(rule, behind)| UnusedRule { rule, behind };
        let all = behind.into_iter().enumerate().map(of);
        all.filter(|unused| !used[unused.rule]).collect()
    }

    /// Does with each tensor what its rule says. Only reads.
    ///
    /// One tensor after the other; each uses all threads of the pool. The same codes for any pool and order.
    ///
    /// # Errors
    ///
    /// [`Error::NameRepeated`] if two tensors have one name; those of the quantizers, with the tensor's name.
    pub fn apply(&self, tensors: &[(&str, ArrayViewD<'_, F>)]) -> Result<QuantizedModel> {
        self.apply_watched(tensors, |_| ControlFlow::Continue(()))
    }

    /// [`apply`](Self::apply), asking before each tensor whether to go on.
    ///
    /// # Errors
    ///
    /// Those of [`apply`](Self::apply), and [`Error::Interrupted`] if `watch` says so.
    pub fn apply_watched(
        &self,
        tensors: &[(&str, ArrayViewD<'_, F>)],
        mut watch: impl FnMut(QuantizationProgress<'_>) -> ControlFlow<()>,
    ) -> Result<QuantizedModel> {
        let mut names = BTreeSet::new();
        if let Some((name, _)) = tensors.iter().find(|(name, _)| !names.insert(*name)) {
            return Err(Error::NameRepeated {
                what: "tensors",
                name: (*name).to_owned(),
            });
        }
        let total = tensors.len();
        let mut done = Vec::with_capacity(total);
        for &(name, ref weights) in tensors {
            let progress = QuantizationProgress {
                name,
                done: done.len(),
                total,
            };
            if watch(progress).is_break() {
                let done = done.len();
                return Err(Error::Interrupted { done, total });
            }
            let rule = self.rule_for(name, weights.shape());
            let quantizer = self.quantizer(rule);
            let quantized = quantizer.map(|quantizer| quantizer.quantize_dyn(weights));
            done.push(RuledTensor {
                name: name.to_owned(),
                rule,
                quantized: quantized
                    .transpose()
                    .map_err(|error| error.in_tensor(name))?,
            });
        }
        let shapes = tensors
            .iter()
            .map(|(name, weights)| (*name, weights.shape()));
        Ok(QuantizedModel {
            tensors: done,
            unused: self.unused(shapes),
        })
    }
}

impl<F> fmt::Debug for QuantizationRules<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Predicates are closures, and those cannot be printed.
        let mut print = f.debug_map();
        for rule in &self.rules {
            print.entry(&rule.label, &rule.quantizer);
        }
        print.entry(&"otherwise", &self.otherwise).finish()
    }
}
