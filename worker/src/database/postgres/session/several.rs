//! Many new rows in few statements.

use std::pin::pin;

use dbal_schema::Entity;
use dbal_shared::message::Reply;
use dbal_sql::{Several, ValidPlan};
use futures_util::TryStreamExt;

use super::super::trouble::trouble;
use super::super::values::Parameter;
use super::sent::Sent;
use super::{Connected, Fetched, SENT_TOGETHER};
use crate::database::read::reply;
use crate::database::session::{Row, Session};
use crate::database::trouble::Trouble;

impl Connected<'_> {
    /// Writes the rows of a plan, several with each statement, inside of a transaction; none where they are to be written one by
    /// one. What went wrong is not told as it has to be: by the first row that is wrong.
    pub(in crate::database::postgres) async fn create_several(
        &mut self,
        plan: &ValidPlan,
    ) -> Result<Option<Reply>, Trouble> {
        let Some(several) = Several::of_plan(plan, self.dialect())? else {
            return Ok(None);
        };
        let entity = plan.entity().ok_or(Trouble::NotInSchema)?;
        // In one statement a row could refer to a later one.
        if self.tables.unique.is_circular(entity.id) {
            return Ok(None);
        }
        let mut count: usize = 0;
        for several in several.chunks(SENT_TOGETHER) {
            self.ready().await?;
            let written = self.run_several(several, entity).await;
            self.has_run(written.is_ok());
            count = written?.saturating_add(count);
        }
        let rows = u64::try_from(count).unwrap_or(u64::MAX);
        Ok(Some(reply(rows.to_string(), rows)))
    }

    /// Sends the statements without waiting between them; how many rows they wrote, which is all.
    async fn run_several(&self, several: &[Several], entity: &Entity) -> Result<usize, Trouble> {
        let failed = |error| self.noted(trouble(&error, entity, &self.tables.unique));
        let place = self.live.queue_up();
        self.watch.turn.set(Some(place.turn));
        let mut prepared = Vec::with_capacity(several.len());
        for one in several {
            let first = self.live.prepare(one.first.sql()).await.map_err(failed)?;
            prepared.push(match &one.all {
                None => first,
                Some(all) => {
                    let all = self.live.prepare_all(all, &first, one.rows).await;
                    all.map_err(failed)?
                }
            });
        }
        let queries = several.iter().zip(&prepared).map(|(one, prepared)| {
            let statement = one.all.as_ref().map_or(&one.first, |all| &all.statement);
            let parameters = statement.parameters().iter().map(Parameter);
            (one, self.live.client.query_raw(prepared, parameters))
        });
        let mut sent = Sent::together(queries).await;
        let mut count: usize = 0;
        while let Some((one, rows)) = sent.next().await {
            let mut rows = pin!(rows.map_err(failed)?);
            let mut written: usize = 0;
            while let Some(row) = rows.try_next().await.map_err(failed)? {
                if !Fetched(&row).is_true(0)? {
                    return Err(Trouble::NotPermitted);
                }
                written = written.saturating_add(1);
            }
            if written != one.rows {
                return Err(Trouble::NotPermitted);
            }
            count = count.saturating_add(written);
        }
        Ok(count)
    }
}
