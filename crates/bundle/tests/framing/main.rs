//! The framer from outside: against an oracle, over every cut and limit, on broken sources and on sources as they are found.

mod driver;
mod malformed;
mod model;
mod oracle;
mod places;
mod shapes;
mod well_formed;
