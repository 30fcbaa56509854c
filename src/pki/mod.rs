//! Keys, certificate authorities and leaf certificates. Pure: never does I/O.
