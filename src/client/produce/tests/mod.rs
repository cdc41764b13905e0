//! The writer without a socket: the state machine against a broker that exists on paper only.

// A log, its producer, connections that die; and who decides what happens next.
mod model;

// Each rule of the machine by hand.
mod flight;

// Everything that can happen, within limits; and beyond them by chance.
mod worlds;
