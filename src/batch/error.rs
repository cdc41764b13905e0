/// What can be wrong with a batch.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
#[non_exhaustive]
pub enum BatchError {
    #[error("checksum mismatch: the header says {stated:#010x}, the bytes give {computed:#010x}")]
    Checksum { stated: u32, computed: u32 },
    #[error("unknown magic byte {0}")]
    Magic(i8),
    #[error("malformed batch: {0}")]
    Malformed(String),
    #[error("{what} needs {needed} bytes, the budget is {budget}")]
    OverBudget { what: &'static str, needed: usize, budget: usize },
}
