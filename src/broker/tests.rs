//! Requests over a socket, with messages of `wire` on the client side.
