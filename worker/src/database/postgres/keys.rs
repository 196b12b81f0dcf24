//! What all calls share, and how it reads several keys at once.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dbal_shared::value::Value;
use dbal_sql::{Dialect, Keyed};

use super::call::watched;
use super::pool::{Need, Pool};
use super::session::{Connected, Watch};
use super::tables::Tables;
use super::trouble::Mishap;
use crate::cache::Effects;
use crate::database::gather::{self, ReadsKeys};
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
                Mishap::Transient | Mishap::None => {}
            }
        }
        outcome.is_ok().then(|| lease.took())
    }
}
