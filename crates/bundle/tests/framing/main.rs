//! The framer from outside: against an oracle, over every cut and limit, on broken sources and on sources as they are found.

mod driver;
mod lines;
mod malformed;
mod model;
mod oracle;
mod parts;
mod places;
mod shapes;
mod siblings;
mod walks;
mod well_formed;
