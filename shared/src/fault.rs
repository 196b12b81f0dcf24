//! What can be wrong with a call: the stable codes, and the faults of single fields.

use std::fmt;

/// Stable codes of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// 400
    Malformed,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 409
    Conflict,
    /// 413
    TooLarge,
    /// 422
    Invalid,
    /// 429
    RateLimited,
    /// 500
    Internal,
    /// 501
    Unsupported,
    /// 503
    Unavailable,
    /// 504
    Timeout,
    /// 507
    Quota,
    /// 4031
    SandboxViolation,
}

impl Code {
    /// All of them.
    pub const ALL: [Code; 14] = [
        Code::Malformed,
        Code::Unauthorized,
        Code::Forbidden,
        Code::NotFound,
        Code::Conflict,
        Code::TooLarge,
        Code::Invalid,
        Code::RateLimited,
        Code::Internal,
        Code::Unsupported,
        Code::Unavailable,
        Code::Timeout,
        Code::Quota,
        Code::SandboxViolation,
    ];

    /// The number that clients see.
    pub fn number(self) -> u16 {
        match self {
            Code::Malformed => 400,
            Code::Unauthorized => 401,
            Code::Forbidden => 403,
            Code::NotFound => 404,
            Code::Conflict => 409,
            Code::TooLarge => 413,
            Code::Invalid => 422,
            Code::RateLimited => 429,
            Code::Internal => 500,
            Code::Unsupported => 501,
            Code::Unavailable => 503,
            Code::Timeout => 504,
            Code::Quota => 507,
            Code::SandboxViolation => 4031,
        }
    }

    /// Whether it is the daemon's fault, and not its caller's.
    pub fn is_ours(self) -> bool {
        match self {
            Code::Internal | Code::Unavailable | Code::Timeout | Code::Quota | Code::SandboxViolation => true,
            Code::Malformed
            | Code::Unauthorized
            | Code::Forbidden
            | Code::NotFound
            | Code::Conflict
            | Code::TooLarge
            | Code::Invalid
            | Code::RateLimited
            | Code::Unsupported => false,
        }
    }

    /// The plain and stable message that goes with it.
    pub fn message(self) -> &'static str {
        match self {
            Code::Malformed => "Malformed request",
            Code::Unauthorized => "Authentication required",
            Code::Forbidden => "Access forbidden",
            Code::NotFound => "Not found",
            Code::Conflict => "Conflict",
            Code::TooLarge => "Too large",
            Code::Invalid => "Validation failed",
            Code::RateLimited => "Rate limit exceeded",
            Code::Internal => "Internal error",
            Code::Unsupported => "Not supported",
            Code::Unavailable => "Database unavailable",
            Code::Timeout => "Timed out",
            Code::Quota => "Quota exceeded",
            Code::SandboxViolation => "Sandbox violation",
        }
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// No such field, or none that the caller may know of: the two can't be told apart.
    Unknown,
    /// A required field is missing or null.
    Required,
    /// The value has another type.
    WrongType {
        /// What is expected, e.g. `a string`.
        expected: String,
    },
    /// Fewer characters than allowed.
    TooShort {
        /// Characters.
        min: u64,
    },
    /// More characters than allowed.
    TooLong {
        /// Characters.
        max: u64,
    },
    /// Below the minimum.
    TooSmall {
        /// The bound, as written in the entity file.
        min: String,
    },
    /// Above the maximum.
    TooLarge {
        /// The bound, as written in the entity file.
        max: String,
    },
    /// The value doesn't match the field's pattern.
    Pattern,
    /// Not one of the allowed values.
    NotInList {
        /// The allowed values.
        allowed: Vec<String>,
    },
    /// The format of an email, a uuid, a date and so on is not met.
    Format {
        /// What is expected, e.g. `an email address`.
        expected: String,
    },
    /// The field is written by the daemon only.
    Generated,
    /// The field can't be changed once it is set.
    Immutable,
    /// The value refers to a row that does not exist.
    NoSuchReference,
    /// The row is still referred to by others.
    StillReferenced,
    /// Another row has this value already.
    Taken,
    /// The sum that was asked for is beyond 64 bits.
    SumTooLarge,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unknown => out.write_str("unknown field"),
            Fault::Required => out.write_str("is required"),
            Fault::WrongType { expected } | Fault::Format { expected } => write!(out, "must be {expected}"),
            Fault::TooShort { min: 1 } => out.write_str("must not be empty"),
            Fault::TooShort { min } => write!(out, "must have at least {min} characters"),
            Fault::TooLong { max } => write!(out, "must have at most {max} characters"),
            Fault::TooSmall { min } => write!(out, "must be at least {min}"),
            Fault::TooLarge { max } => write!(out, "must be at most {max}"),
            Fault::Pattern => out.write_str("does not match the required pattern"),
            Fault::NotInList { allowed } => write!(out, "must be one of {}", allowed.join(", ")),
            Fault::Generated => out.write_str("is generated and can't be set"),
            Fault::Immutable => out.write_str("can't be changed"),
            Fault::NoSuchReference => out.write_str("refers to a row that does not exist"),
            Fault::StillReferenced => out.write_str("is still referred to by other rows"),
            Fault::Taken => out.write_str("is already taken"),
            Fault::SumTooLarge => out.write_str("adds up to more than 64 bits hold"),
        }
    }
}
