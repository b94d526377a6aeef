//! libFuzzer's program for the target that `REPLYBUS_FUZZ_TARGET` names, if it is built with
//! `--cfg fuzzing`, as `cargo xtask fuzz` does. Otherwise it runs the files that it is given:
//! `cargo run -p replybus-fuzz -- TARGET FILE..`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod instrumented {
    use replybus_fuzz::Target;
    use std::{env, sync::LazyLock};

    static TARGET: LazyLock<Target> = LazyLock::new(|| {
        let name = env::var("REPLYBUS_FUZZ_TARGET").unwrap_or_default();
        let Some(target) = Target::of(&name) else {
            panic!("REPLYBUS_FUZZ_TARGET names no target: '{name}'");
        };
        target
    });

    libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.run)(data));
}

#[cfg(not(fuzzing))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.next().unwrap_or_default();
    let target = replybus_fuzz::Target::of(&name.to_string_lossy());
    let target = target.ok_or("the first argument is a target, and then come files")?;
    for file in arguments {
        (target.run)(&std::fs::read(file)?);
    }
    Ok(())
}
