//! What the kernels refuse.

/// An input that no kernel can work on. Nothing was written when one of these is returned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// A [`MlpShape`](super::MlpShape) that no network can have.
    #[error("no network has the shape {shape}: {reason}")]
    Shape {
        /// What is wrong, and what would be right.
        reason: &'static str,
        /// The shape.
        shape: String,
    },
    /// A batch without rows.
    #[error("the batch has no rows: hand over at least one")]
    EmptyBatch,
    /// A buffer of the wrong length.
    #[error("`{buffer}` has {got} values and needs {want}: {layout}")]
    Length {
        /// The argument.
        buffer: &'static str,
        /// How long it is.
        got: usize,
        /// How long it must be.
        want: usize,
        /// What each of its dimensions is.
        layout: &'static str,
    },
    /// A backward pass without its forward pass.
    #[error(
        "`saved` holds no forward pass of this shape and batch: call `forward` with the same shape, input and `saved` before \
         `backward`"
    )]
    NotSaved,
    /// An optimizer's or a tracker's setting that is out of range.
    #[error("`{setting}` is {value}: it must be {range}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        range: &'static str,
    },
}

/// Refuses a buffer of another length.
pub(crate) fn check_len(
    buffer: &'static str,
    got: usize,
    want: usize,
    layout: &'static str,
) -> Result<(), KernelError> {
    if got == want {
        Ok(())
    } else {
        Err(KernelError::Length {
            buffer,
            got,
            want,
            layout,
        })
    }
}
