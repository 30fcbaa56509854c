//! Phases as data, and the scheduler that runs (phase, host) tasks as a graph.
