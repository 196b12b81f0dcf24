//! What all calls share, and how reads of single rows are served: several keys at once.

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dbal_shared::value::Value;
use dbal_sql::{Dialect, Keyed};

use super::call::{self, watched};
use super::pool::{DEPTH, Need, Pool};
use super::session::{Connected, Watch};
use super::tables::Tables;
use super::trouble::Mishap;
use crate::cache::Effects;
use crate::database::gather::{self, Alone, ReadsKeys, Serves};
use crate::database::session::{Look, Row};
use crate::database::singles::Singles;
use crate::database::trouble::Trouble;
use crate::job::Control;

/// Reads that gather, and all else that calls need.
pub(super) type Gathering = gather::Gathering<Shared>;

/// What all calls need.
pub(super) struct Shared {
    pub(super) singles: Singles,
    pub(super) pool: Rc<Pool>,
    pub(super) tables: Rc<Tables>,
    pub(super) effects: Arc<Effects>,
}

impl ReadsKeys for Shared {
    fn dialect(&self) -> &'static Dialect {
        self.tables.dialect()
    }

    async fn read_keys(
        &self,
        like: &Keyed,
        keys: &[Value],
        control: &Arc<Control>,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Option<Duration> {
        let entity = like.entity()?;
        let lease = self.pool.lease(Need::Place, control).await.ok()?;
        let watch = Watch::default();
        let mut session = Connected::new(&lease.live, &self.tables, control, &watch);
        let asked = session.rows_of_keys(like, keys, entity, look);
        let outcome = watched(&lease.live, control, &watch, asked).await;
        if outcome.is_err() {
            match watch.mishap.get().unwrap_or(Mishap::None) {
                Mishap::Lost | Mishap::Outdated => lease.live.retire(),
                Mishap::Transient | Mishap::Waited | Mishap::None => {}
            }
        }
        outcome.is_ok().then(|| lease.took())
    }
}

/// Reads that share connections.
pub(super) struct Keys {
    gathering: Rc<Gathering>,
    /// As many at once as find a place.
    most: usize,
}

impl Keys {
    pub(super) fn of(gathering: Rc<Gathering>) -> Self {
        let pool = &gathering.database.pool;
        let most = pool.shared().saturating_mul(DEPTH).saturating_add(pool.size());
        Self { gathering, most }
    }
}

impl Serves for Keys {
    type Database = Shared;

    fn gathering(&self) -> &Rc<Gathering> {
        &self.gathering
    }

    fn places(&self) -> usize {
        self.most
    }

    fn room(&self, busy: usize) -> usize {
        self.most.saturating_sub(busy)
    }

    async fn has_more_room(&self) {
        pending::<()>().await;
    }

    async fn begun(&self) {}

    async fn run(&self, alone: Alone<Shared>) -> Option<Duration> {
        // Those that gather meanwhile go when this one is done.
        let Alone { job, flight: _flight } = self.gathering.lead(alone).await?;
        Some(call::run(&self.gathering, job, None).await)
    }
}
