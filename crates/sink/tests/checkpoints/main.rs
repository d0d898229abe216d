//! An interrupted split goes on from its last checkpoint, and nobody sees that it was interrupted.

mod damage;
mod failed;
mod format;
mod gathered;
mod interrupted;
mod killed;
mod one_way;
mod power_loss;
mod sidecars;
mod support;
