//! Losses of rarefy in candle's graph.

use crate::{failed, tensor_of, with_view};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rarefy::distill::{Loss, LossValue, Output, Target};
use rarefy::ndarray::{Array2, Ix2};

/// A loss that was computed outside: its value, and its gradient for the logits.
struct Computed {
    value: f32,
    gradient: Tensor,
}

impl CustomOp1 for Computed {
    fn name(&self) -> &'static str {
        "rarefy-loss"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![self.value]), Shape::from(())))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, of_value: &Tensor) -> Result<Option<Tensor>> {
        self.gradient.broadcast_mul(of_value).map(Some)
    }
}

fn compute(
    loss: &dyn Loss<f32>,
    student: &Tensor,
    target: Target<'_, f32>,
) -> Result<(f32, Tensor)> {
    let logits: Array2<f32> = with_view(student, |view| {
        view.into_dimensionality::<Ix2>()
            .map(|view| view.to_owned())
    })?
    .map_err(candle_core::Error::wrap)?;
    let LossValue { value, grad } = loss
        .evaluate(&Output::from(logits), target)
        .map_err(failed)?;
    Ok((value, tensor_of(grad.logits)?))
}

/// A loss of rarefy over logits (rows × classes), as a scalar of candle's graph: its value is exact, it can be added to
/// other terms, and `backward` gives its analytic gradient.
///
/// # Errors
///
/// Those of the loss; logits that are no f32 on the CPU, or have not two axes.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use rarefy::distill::{KlDivergence, Output, Target};
/// use rarefy::ndarray::array;
///
/// let student = Var::new(&[[1_f32, 0.0]], &Device::Cpu)?;
/// let teacher = Output::from(array![[2.0_f32, 0.0]]);
/// let loss = rarefy_candle::loss(&KlDivergence::new(2.0), &student, Target::from(&teacher))?;
/// let gradients = loss.backward()?;
/// assert!(gradients.get(&student).is_some());
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn loss(loss: &dyn Loss<f32>, student: &Tensor, target: Target<'_, f32>) -> Result<Tensor> {
    let (value, gradient) = compute(loss, student, target)?;
    student.apply_op1(Computed { value, gradient })
}

/// The same by the surrogate Σ z · stop_gradient(g): the loss's own value, and a scalar whose `backward` gives its gradient
/// and whose value means nothing. It is the way into frameworks that know no operations of others.
///
/// # Errors
///
/// Those of [`loss`].
pub fn surrogate(
    loss: &dyn Loss<f32>,
    student: &Tensor,
    target: Target<'_, f32>,
) -> Result<(f32, Tensor)> {
    let (value, gradient) = compute(loss, student, target)?;
    Ok((value, (student * gradient.detach())?.sum_all()?))
}
