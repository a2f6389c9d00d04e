//! The JSON bodies, one file per subject.
//!
//! Members stand in alphabetical order, as Apache writes them; absent text is left out, never `null`. Reading
//! is lenient: unknown members are ignored, missing ones get Java's defaults, and what the C++ client sends
//! differently (numbers as text, enums as ordinals) is understood.
//!
//! Read with [`super::fastjson::from_slice`], write with [`super::fastjson::to_wire`] or, for the files in
//! `config/`, [`super::fastjson::to_file`].

pub mod assignment;
pub mod auth;
pub mod connection;
pub mod consume;
pub mod controller;
pub mod ha;
pub mod heartbeat;
mod lenient;
pub mod lists;
pub mod lock;
pub mod offset;
mod queue;
pub mod register;
pub mod route;
pub mod running;
pub mod stats;
pub mod subscription_group;
pub mod topic_config;

pub use self::queue::MessageQueue;

/// Defines an enum that is a name in JSON, as Java's enums are. Ordinals are read too: the C++ client
/// sends them.
macro_rules! java_enum {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$variant_doc])* #[doc = concat!("`", $name, "`")] $variant),+
        }

        impl $type {
            /// All of them, in the order of Java's ordinals.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Java's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }

            /// The one with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.name() == name)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::protocol::body::lenient::enumeration(deserializer, Self::ALL, Self::name)
            }
        }
    };
}
use java_enum;
