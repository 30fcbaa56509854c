//! The memory of this process, which holds keys of authorities and passwords.

/// Have no core of it written, whatever ends it, and let no other process of the same user look into it or stop it in a
/// debugger. Programs that it starts are not concerned.
#[cfg(target_os = "linux")]
pub(super) fn keep_to_itself() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    // The kernel refuses no process that; a filter of system calls may, and then nothing is lost but this.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Other systems have other ways, which nobody has asked for.
#[cfg(not(target_os = "linux"))]
pub(super) fn keep_to_itself() {}
