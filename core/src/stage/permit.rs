//! [`Permission`]: what may still be sent of what a sink has taken and not sent yet.
//!
//! A transform that lets records pass for a reason that can go away (a consent) has let pass what a sink may hold for days while its
//! receiver is away. So the last transforms of a pipeline say what they would let pass *now*, and a sink that keeps records
//! before it sends them asks that again before each attempt. Only the last ones: what comes behind another transform may be of another
//! subject, or of nobody.
//!
//! The engine hands the permission to every sink before the first `commit` of a run, when it is [`Permission::Unknown`] for a transform
//! that has restored nothing yet; when the transforms have looked outside; and whenever a later look has found something new,
//! which is in a checkpoint then. While something is pending it looks, also when no records come.

use std::{fmt, sync::Arc};

/// Says whether an item may be sent.
pub trait Permit<T>: fmt::Debug + Send + Sync {
    /// Tells it apart from others, in other processes, too: what one of this version allowed needs no second look.
    fn version(&self) -> u64;

    /// Whether `item` may be sent.
    fn allows(&self, item: &T) -> bool;
}

/// What may be sent.
#[derive(Debug)]
pub enum Permission<T> {
    /// Everything.
    Free,
    /// Nothing yet: what may be is not known.
    Unknown,
    /// What all of these allow; never none.
    By(Vec<Arc<dyn Permit<T>>>),
}

impl<T> Permission<T> {
    /// What one permit allows.
    pub fn by(permit: Arc<dyn Permit<T>>) -> Permission<T> {
        Permission::By(vec![permit])
    }

    /// What both allow.
    pub fn and(self, other: Permission<T>) -> Permission<T> {
        match (self, other) {
            (Permission::Free, rest) | (rest, Permission::Free) => rest,
            (Permission::By(mut all), Permission::By(others)) => {
                all.extend(others);
                Permission::By(all)
            }
            _ => Permission::Unknown,
        }
    }

    /// Tells it apart from others; `None` of what is not known.
    pub fn version(&self) -> Option<u64> {
        match self {
            Permission::Free => Some(0),
            Permission::Unknown => None,
            // The order is part of it, and a permit of version 0 is not nothing.
            Permission::By(all) => Some(all.iter().fold(1, |version, permit| {
                (version.rotate_left(5) ^ permit.version()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            })),
        }
    }

    /// Whether `item` may be sent.
    pub fn allows(&self, item: &T) -> bool {
        match self {
            Permission::Free => true,
            Permission::Unknown => false,
            Permission::By(all) => all.iter().all(|permit| permit.allows(item)),
        }
    }
}

impl<T> Clone for Permission<T> {
    fn clone(&self) -> Permission<T> {
        match self {
            Permission::Free => Permission::Free,
            Permission::Unknown => Permission::Unknown,
            Permission::By(all) => Permission::By(all.clone()),
        }
    }
}
