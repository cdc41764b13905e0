//! What can be wrong with a message: where it went wrong (message, version, field, byte) and how.

use super::ApiKey;

/// A message that could not be read or written. `field` is the way down to it, such as `topics[2].partitions[0].records`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    /// The structure at the top: `FetchResponse`, or what was being read in its place (`RequestHeader`, `frame`).
    pub message: &'static str,
    /// The version it was read or written at.
    pub version: i16,
    /// The way from the message down to the field, empty where the whole message is meant.
    pub field: String,
    /// Bytes of the message read or written when it went wrong.
    pub offset: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// The ways a message can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A value, or what its length claims, reaches past the end of the message.
    #[error("needs {needed} bytes, {left} are left")]
    Truncated {
        /// Bytes the value needs or claims.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// An array claims more elements than the bytes left can hold.
    #[error("claims {count} elements of at least {element_bytes_min} bytes, {left} bytes are left")]
    Count {
        /// Elements claimed.
        count: usize,
        /// The least an element takes at this version.
        element_bytes_min: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// The arrays of the message would take more memory than a message of that size may.
    #[error("its arrays would take more than {bytes_max} bytes of memory")]
    Memory {
        /// The most the arrays of this message may take.
        bytes_max: usize,
    },
    /// A length below zero where that does not mean null.
    #[error("the length {length} is negative")]
    NegativeLength {
        /// The length as it stands.
        length: i32,
    },
    /// Null where this version allows none.
    #[error("is null, which this version does not allow")]
    Null,
    /// A varint of more than 32 bits or five bytes.
    #[error("a varint of more than 32 bits")]
    Varint,
    /// A string that is not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// Tagged fields must ascend.
    #[error("the tagged field {tag} does not come after {previous}")]
    TagOrder {
        /// The tag met.
        tag: u32,
        /// The one before it.
        previous: u32,
    },
    /// A tagged field whose value is shorter than its stated size.
    #[error("the tagged field {tag} states {stated} bytes, its value takes {taken}")]
    TagSize {
        /// The tag.
        tag: u32,
        /// Bytes stated.
        stated: usize,
        /// Bytes its value took.
        taken: usize,
    },
    /// Bytes after the end of the message.
    #[error("{left} bytes follow the end of the message")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// A string above Kafka's 32,767 bytes, or (written) an array or message longer than its length field can say.
    #[error("a length of {length} is more than the protocol allows")]
    TooLong {
        /// The length.
        length: usize,
    },
    /// Written: the field holds a value, which this version could not carry; leaving it out would change the meaning.
    #[error("holds a value that this version cannot carry")]
    NotInVersion,
    /// A version we do not speak.
    #[error("{api} is spoken at versions {first} to {last}")]
    Version {
        /// The API.
        api: ApiKey,
        /// The lowest version spoken.
        first: i16,
        /// The highest.
        last: i16,
    },
    /// A frame whose stated length is negative or above the limit.
    #[error("a frame of {stated} bytes, between 0 and {bytes_max} are allowed")]
    Frame {
        /// The length stated.
        stated: i32,
        /// The limit.
        bytes_max: usize,
    },
}

impl WireError {
    pub(super) fn new(offset: usize, problem: Problem) -> Self {
        Self { message: "message", version: -1, field: String::new(), offset, problem }
    }

    /// Steps out of the field `name` of the structure `message`.
    pub(super) fn inside(mut self, message: &'static str, version: i16, name: &str) -> Self {
        let joint = if self.field.is_empty() || self.field.starts_with('[') { "" } else { "." };
        self.field = format!("{name}{joint}{}", self.field);
        self.of(message, version)
    }

    /// Steps out of the element `index` of an array.
    pub(super) fn element(mut self, index: usize) -> Self {
        let joint = if self.field.is_empty() { "" } else { "." };
        self.field = format!("[{index}]{joint}{}", self.field);
        self
    }

    /// Says which structure, at which version, this was; the outermost one has the last word.
    pub(super) fn of(mut self, message: &'static str, version: i16) -> Self {
        (self.message, self.version) = (message, version);
        self
    }
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { message, version, field, offset, problem } = self;
        write!(f, "{message}")?;
        if *version >= 0 {
            write!(f, " v{version}")?;
        }
        if !field.is_empty() {
            write!(f, ", {field}")?;
        }
        write!(f, " (byte {offset}): {problem}")
    }
}

impl std::error::Error for WireError {}
