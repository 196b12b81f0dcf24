//! How each shared type is laid out on the channel: one line per field, so that a new field breaks the build here.

use bincode::error::{DecodeError, EncodeError};
use secrecy::{ExposeSecret, SecretString};

use crate::codec::{Decoding, Encoding, UNKNOWN_VARIANT, Wire, put_text};
use crate::fault::{Code, Fault};
use crate::ids::{CallId, ColumnId, Digest, EntityId, RequestId, SessionHandle};
use crate::message::{
    Advice, Answer, CacheSample, Capabilities, Certificate, Countersignature, Execute, Explained, Failure,
    Head, Health, Hello, Isolation, Layer, LayerState, Lifecycle, OpenSession, Proof, Refused, Rejected,
    Reply, Report, SessionOpened, SessionRefused, Standing, ToBroker, ToWorker, Transact, Tried, Wanted,
    Welcome,
};
use crate::plan::{
    Action, Assignment, Direction, Function, Include, Measure, Operation, Page, Plan, SortKey, Target, Total,
};
use crate::predicate::{Case, Comparison, Link, Predicate, Quantifier, TextPosition};
use crate::principal::{ClaimValue, Principal};
use crate::terms::{Mask, ReadTerms, Terms, WriteTerms};
use crate::trace::{SpanId, Trace, TraceId};
use crate::value::{Earlier, Value};

macro_rules! wire_struct {
    ($type:ident { $($field:tt),* $(,)? }) => {
        impl Wire for $type {
            fn put(&self, out: &mut Encoding<'_>) -> Result<(), EncodeError> {
                // Without `..`: a field that is not listed does not compile.
                let $type { $($field: _),* } = self;
                $(self.$field.put(out)?;)*
                Ok(())
            }
            fn take(from: &mut Decoding<'_>) -> Result<Self, DecodeError> {
                Ok($type { $($field: Wire::take(from)?),* })
            }
        }
    };
}

macro_rules! wire_enum {
    ($type:ident { $($tag:literal => $variant:ident $( ( $inner:ident ) )? $( { $($field:ident),* } )? ),* $(,)? }) => {
        impl Wire for $type {
            fn put(&self, out: &mut Encoding<'_>) -> Result<(), EncodeError> {
                match self {
                    $($type::$variant $( ($inner) )? $( { $($field),* } )? => {
                        let tag: u16 = $tag;
                        tag.put(out)?;
                        $($inner.put(out)?;)?
                        $($($field.put(out)?;)*)?
                    })*
                }
                Ok(())
            }
            fn take(from: &mut Decoding<'_>) -> Result<Self, DecodeError> {
                match u16::take(from)? {
                    $($tag => {
                        $(let $inner = Wire::take(from)?;)?
                        $($(let $field = Wire::take(from)?;)*)?
                        Ok($type::$variant $( ($inner) )? $( { $($field),* } )?)
                    })*
                    _ => Err(UNKNOWN_VARIANT),
                }
            }
        }
    };
}

wire_struct!(EntityId { 0 });
wire_struct!(ColumnId { 0 });
wire_struct!(CallId { 0 });
wire_struct!(Digest { 0 });
wire_struct!(SessionHandle { 0 });
wire_struct!(RequestId { boot, sequence });

wire_enum!(Value {
    0 => Null,
    1 => Bool(value),
    2 => Int(value),
    3 => Float(value),
    4 => Decimal(value),
    5 => Text(value),
    6 => Uuid(value),
    7 => Date(value),
    8 => Timestamp(value),
    9 => Json(value),
    10 => Bytes(value),
    11 => Earlier(value),
});
wire_struct!(Earlier { call, column });

wire_enum!(Comparison { 0 => Eq, 1 => Ne, 2 => Lt, 3 => Lte, 4 => Gt, 5 => Gte });
wire_enum!(TextPosition { 0 => Contains, 1 => StartsWith, 2 => EndsWith, 3 => Whole });
wire_enum!(Case { 0 => Sensitive, 1 => Insensitive });
wire_enum!(Quantifier { 0 => Some, 1 => Every, 2 => None });
wire_struct!(Link {
    column,
    entity,
    foreign
});
wire_enum!(Predicate {
    0 => True,
    1 => False,
    2 => Compare { column, op, value },
    3 => CompareColumns { left, op, right },
    4 => In { column, values },
    5 => Matches { column, position, text, case },
    6 => IsNull { column },
    7 => Between { column, low, high },
    8 => Related { link, quantifier, within, predicate },
    9 => And(all),
    10 => Or(any),
    11 => Not(inner),
});

wire_struct!(Assignment { column, value });
wire_struct!(Target { column, value });
wire_enum!(Direction { 0 => Ascending, 1 => Descending });
wire_struct!(SortKey { column, direction });
wire_struct!(Page { number, limit });
wire_struct!(Include {
    link,
    filter,
    order,
    limit,
    projection,
    includes
});
wire_enum!(Total { 0 => Counted, 1 => Skipped });
wire_enum!(Operation { 0 => Read, 1 => List, 2 => Create, 3 => Update, 4 => Delete });
wire_enum!(Function { 0 => Sum, 1 => Average, 2 => Min, 3 => Max });
wire_struct!(Measure { function, column });
wire_struct!(Plan { entity, action });
wire_enum!(Action {
    0 => Read { target, projection, includes },
    1 => FindFirst { filter, order, projection, includes },
    2 => List { filter, order, page, total, projection, includes, cursor },
    3 => Count { filter },
    4 => Create { values, projection },
    5 => CreateMany { rows },
    6 => Update { target, values, projection },
    7 => UpdateMany { filter, values },
    8 => Delete { target },
    9 => DeleteMany { filter },
    10 => Upsert { target, create, update, projection },
    11 => Aggregate { filter, groups, count, measures, limit },
});

wire_struct!(Terms {
    plan,
    read,
    write,
    create
});
wire_struct!(ReadTerms {
    rows,
    masks,
    includes
});
wire_struct!(Mask { column, shown_when });
wire_struct!(WriteTerms { before, after });

wire_enum!(Code {
    0 => Malformed,
    1 => Unauthorized,
    2 => Forbidden,
    3 => NotFound,
    4 => Conflict,
    5 => TooLarge,
    6 => Invalid,
    7 => RateLimited,
    8 => Internal,
    9 => Unsupported,
    10 => Unavailable,
    11 => Timeout,
    12 => Quota,
    13 => SandboxViolation,
});
wire_enum!(Fault {
    0 => Unknown,
    1 => Required,
    2 => WrongType { expected },
    3 => TooShort { min },
    4 => TooLong { max },
    5 => TooSmall { min },
    6 => TooLarge { max },
    7 => Pattern,
    8 => NotInList { allowed },
    9 => Format { expected },
    10 => Generated,
    11 => Immutable,
    12 => NoSuchReference,
    13 => StillReferenced,
    14 => Taken,
    15 => SumTooLarge,
});

wire_enum!(ClaimValue {
    0 => Text(text),
    1 => Int(value),
    2 => Bool(value),
    3 => Texts(texts),
});
impl Wire for TraceId {
    fn put(&self, out: &mut Encoding<'_>) -> Result<(), EncodeError> {
        self.0.put(out)
    }
    fn take(from: &mut Decoding<'_>) -> Result<Self, DecodeError> {
        Wire::take(from).map(Self)
    }
}

impl Wire for SpanId {
    fn put(&self, out: &mut Encoding<'_>) -> Result<(), EncodeError> {
        self.0.put(out)
    }
    fn take(from: &mut Decoding<'_>) -> Result<Self, DecodeError> {
        Wire::take(from).map(Self)
    }
}
wire_struct!(Trace { id, span, is_sampled });

wire_struct!(Principal {
    id,
    roles,
    tenant,
    claims
});

impl Wire for SecretString {
    fn put(&self, out: &mut Encoding<'_>) -> Result<(), EncodeError> {
        // Not by way of a `String`, which would leave a second copy of the secret in memory.
        put_text(self.expose_secret(), out)
    }
    fn take(from: &mut Decoding<'_>) -> Result<Self, DecodeError> {
        String::take(from).map(SecretString::from)
    }
}

wire_enum!(ToWorker {
    0 => Hello(hello),
    1 => OpenSession(open),
    2 => CloseSession(session),
    3 => Execute(execute),
    4 => Cancel(call),
    5 => Report(report),
    6 => Transact(transact),
    7 => Countersigned(countersignature),
});
wire_struct!(Hello {
    protocol,
    schema,
    policy,
    version
});
wire_struct!(OpenSession {
    call,
    proof,
    remote,
    certificate
});
wire_struct!(Certificate { thumbprint, names });
wire_enum!(Proof { 0 => Anonymous, 1 => Bearer(token), 2 => Certificate });
wire_struct!(Execute {
    call,
    request,
    session,
    budget_ms,
    policy,
    grant,
    once,
    trace,
    plan
});
wire_struct!(Transact {
    call,
    request,
    session,
    budget_ms,
    policy,
    isolation,
    once,
    trace,
    calls
});
wire_struct!(Wanted { grant, plan });
wire_enum!(Isolation { 0 => ReadCommitted, 1 => RepeatableRead, 2 => Serializable });
wire_enum!(Report { 0 => Refused(refused), 1 => Lifecycle(event), 2 => Explained(explained) });
wire_struct!(Refused {
    request,
    session,
    remote,
    entity,
    operation,
    method,
    code,
    reason,
    rule,
    policy,
    tried,
    repeated,
    trace
});
wire_struct!(Tried { rule, at, why });
wire_struct!(Explained {
    request,
    session,
    entity,
    operation,
    method,
    rule,
    complexity,
    trace
});
wire_enum!(Lifecycle { 0 => Started { version }, 1 => Stopping, 2 => PolicyReloaded { policy } });

wire_enum!(ToBroker {
    0 => Welcome(welcome),
    1 => Rejected(rejected),
    2 => SessionOpened(opened),
    3 => SessionRefused(refused),
    4 => Answer(answer),
    5 => Health(health),
    6 => SessionEnded(session),
    7 => Draining,
    8 => Head(head),
});
wire_struct!(Welcome {
    protocol,
    schema,
    policy,
    version,
    capabilities,
    sandbox
});
wire_struct!(Layer { name, state });
wire_enum!(LayerState { 0 => InForce, 1 => Missing { why }, 2 => Off });
wire_struct!(Capabilities {
    adapter,
    version,
    transactions,
    joins,
    full_text_search,
    ttl,
    json_queries,
    aggregations,
    relations,
});
wire_enum!(Rejected { 0 => Protocol { expected }, 1 => Schema { expected } });
wire_struct!(SessionOpened {
    call,
    session,
    principal,
    expires_at_ms
});
wire_struct!(SessionRefused {
    call,
    code,
    standing,
    reason
});
wire_enum!(Standing { 0 => Unproven, 1 => Lapsed });
wire_struct!(Answer { call, outcome });
wire_struct!(Reply {
    json,
    rows,
    database_us
});
wire_struct!(Failure {
    code,
    fields,
    advice,
    at
});
wire_enum!(Advice { 0 => Final, 1 => Retry, 2 => OutcomeUnknown, 3 => StalePolicy, 4 => UnknownSession, 5 => OtherRequest, 6 => TooLongToKeep });
wire_struct!(Head { sequence, hash });
wire_struct!(Countersignature {
    head,
    after,
    key,
    signature
});
wire_struct!(Health {
    is_connected,
    latency_us,
    active_connections,
    pool,
    queued,
    audit_lag,
    sessions,
    policy,
    failed_reloads,
    cache,
    expired_rows,
    expired_rows_held
});
wire_struct!(CacheSample {
    hits,
    misses,
    evictions,
    invalidations,
    entries,
    bytes,
    is_on
});
