//! The proofs that one connection has shown, and the sessions that came of them.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dbal_shared::message::{Certificate, Proof};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::Caller;
use crate::admission::Turn;
use crate::net::address as net;
use crate::rpc::Auth;
use crate::rulebook::Rulebook;

/// Where a proof came from. Tokens of messages are told apart by hash, so that none is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// No proof.
    Nothing,
    /// The upgrade request.
    Connection,
    /// A message, with SHA-256 of its token.
    Message([u8; 32]),
}

/// What one connection knows of its callers.
pub struct Credentials {
    address: IpAddr,
    token: Option<SecretString>,
    certificate: Option<Certificate>,
    /// Whether the certificate is a proof by itself.
    is_alone: bool,
    /// Most recently used last.
    places: Mutex<Vec<(Origin, Place)>>,
    max: usize,
    /// Set once somebody was let in: the connection is no longer one of strangers.
    is_proven: AtomicBool,
    /// The connection's own place, which it keeps from then on.
    own_place: Option<net::Place>,
    /// For each of the last principals on it, their right to one more connection.
    seats: Mutex<Vec<(Arc<str>, Turn)>>,
}

/// Room for one session. Concurrent calls with the same proof wait for the first to be judged.
type Place = Arc<OnceCell<Arc<Caller>>>;

impl Credentials {
    /// For a connection from `address` that showed `token` with its upgrade and proved `certificate` before, which is a proof
    /// by itself if `is_alone`; keeps at most `max` sessions.
    pub fn new(
        address: IpAddr,
        token: Option<SecretString>,
        certificate: Option<Certificate>,
        is_alone: bool,
        max: usize,
    ) -> Self {
        Self {
            address,
            token,
            is_alone: is_alone && certificate.is_some(),
            certificate,
            places: Mutex::new(Vec::new()),
            max: max.max(1),
            is_proven: AtomicBool::new(false),
            own_place: None,
            seats: Mutex::default(),
        }
    }

    /// The same, in this place.
    #[must_use]
    pub fn at(self, place: net::Place) -> Self {
        Self {
            own_place: Some(place),
            ..self
        }
    }

    /// Whether anybody was let in on it.
    pub fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Relaxed)
    }

    /// Somebody was let in.
    pub(super) fn prove(&self) {
        if !self.is_proven.swap(true, Ordering::Relaxed)
            && let Some(place) = &self.own_place
        {
            place.prove();
        }
    }

    /// Whether the connection itself shows a proof, whatever its messages do.
    pub fn has_own_proof(&self) -> bool {
        self.token.is_some() || self.is_alone
    }

    /// Takes a seat for a principal unless it has one on this connection; `begin` says whether there is one.
    pub(super) fn seat(&self, key: &Arc<str>, begin: impl FnOnce() -> Option<Turn>) -> bool {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if seats.iter().any(|(seated, _)| seated == key) {
            return true;
        }
        let Some(turn) = begin() else {
            return false;
        };
        // As many as there are sessions.
        if seats.len() >= self.max {
            seats.remove(0);
        }
        seats.push((Arc::clone(key), turn));
        true
    }

    /// The client's address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Where the proof that counts for a message comes from: the message itself, else the connection.
    pub fn origin(&self, auth: &Auth) -> Origin {
        match (&auth.token, &self.token) {
            (Some(token), _) => Origin::Message(Sha256::digest(token.expose_secret().as_bytes()).into()),
            (None, Some(_)) => Origin::Connection,
            (None, None) if self.is_alone => Origin::Connection,
            (None, None) => Origin::Nothing,
        }
    }

    /// This proof. A copy, which is wiped when it is dropped: to be made when somebody is to judge it.
    pub(super) fn proof(&self, auth: &Auth) -> Proof {
        match auth.token.as_ref().or(self.token.as_ref()) {
            Some(token) => Proof::Bearer(token.clone()),
            None if self.is_alone => Proof::Certificate,
            None => Proof::Anonymous,
        }
    }

    /// The session's place, empty if the proof is new, its worker is gone, or it was judged under another rulebook. A
    /// proof that has ended keeps its place: showing it again would only count as a failure.
    pub(super) fn place(&self, origin: &Origin, rulebook: &Arc<Rulebook>) -> Place {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let known = places.iter().position(|(known, _)| known == origin);
        if let Some((_, place)) = known.map(|position| places.remove(position)) {
            let is_usable = place
                .get()
                .is_none_or(|caller| caller.is_expired() || caller.holds(rulebook));
            if is_usable {
                places.push((origin.clone(), Arc::clone(&place)));
                return place;
            }
        }
        if places.len() >= self.max {
            places.remove(0);
        }
        let place = Place::default();
        places.push((origin.clone(), Arc::clone(&place)));
        place
    }

    /// The client certificate that the connection proved.
    pub(super) fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// The session of the connection's own proof, once it is open.
    pub fn of_connection(&self) -> Option<Arc<Caller>> {
        if !self.has_own_proof() {
            return None;
        }
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, place) = places.iter().find(|(origin, _)| *origin == Origin::Connection)?;
        place.get().cloned()
    }

    /// Who pays for what the connection makes us do before it is known whose call it is: the principal of its own proof, or its
    /// address.
    pub fn payer(&self) -> Arc<str> {
        match self.of_connection() {
            Some(caller) => Arc::clone(caller.rate_key()),
            None => super::address_key(self.address),
        }
    }

    /// Forgets a session that no longer holds.
    pub(super) fn forget(&self, place: &Place) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|(_, known)| !Arc::ptr_eq(known, place));
    }

    /// Forgets the session of a message whose session the worker doesn't know.
    pub fn forget_caller(&self, caller: &Arc<Caller>) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|(_, place)| place.get().is_none_or(|known| !Arc::ptr_eq(known, caller)));
    }
}
