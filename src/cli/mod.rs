//! One file per command: its arguments, and what it prints. Logic lives in the layers below.
