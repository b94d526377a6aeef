//! Arguments that are marked `#[stream]`: which they are, where they may stand, and the signature
//! without their marks.

use crate::{
    attr::MethodOptions,
    mistakes::Mistakes,
    model::{Argument, Method},
};
use syn::{Attribute, FnArg, PatType, Signature};

/// `true` of the mark of an argument.
pub(crate) fn is_mark(attribute: &Attribute) -> bool {
    attribute.path().is_ident("stream")
}

/// Reads the marks of an argument: `true` if it is a stream.
pub(crate) fn read(argument: &PatType, mistakes: &mut Mistakes) -> bool {
    let mut marks = argument.attrs.iter().filter(|mark| is_mark(mark));
    let Some(mark) = marks.next() else {
        return false;
    };
    if mark.meta.require_path_only().is_err() {
        mistakes.push(mark, "the mark of an argument has no options: `#[stream]`");
    }
    for other in marks {
        mistakes.push(other, "the argument is marked twice");
    }
    true
}

/// Refuses a stream where it can't be sent.
pub(crate) fn check(
    arguments: &[Argument<'_>],
    options: &MethodOptions,
    partitioned: bool,
    mistakes: &mut Mistakes,
) {
    let mut streams = arguments.iter().filter(|argument| argument.is_stream);
    let Some(stream) = streams.next() else {
        return;
    };
    let refusal = if options.stream {
        "an argument or the answer is a stream, not both: call one method for each"
    } else if options.job.is_some() {
        "a job is begun anew when its worker dies, and a stream can't be sent again: give the method a `timeout`, or take what the job is to read in several calls"
    } else if options.retry.is_some() {
        "what is put off is run again, and a stream can't be sent again: leave `retry`"
    } else if partitioned {
        "in a contract with `partitions` a stream would hold up all that comes after it under its key: put the method into another contract"
    } else if let Some(other) = streams.next() {
        mistakes.push(
            other.ty,
            "one argument of a method is a stream, not several",
        );
        return;
    } else {
        return;
    };
    mistakes.push(stream.ty, refusal);
}

impl<'a> Method<'a> {
    /// The arguments that travel in the request.
    pub(crate) fn sent(&self) -> impl Iterator<Item = &Argument<'a>> {
        self.arguments.iter().filter(|argument| !argument.is_stream)
    }

    /// The argument that is a stream.
    pub(crate) fn fed(&self) -> Option<&Argument<'a>> {
        self.arguments.iter().find(|argument| argument.is_stream)
    }
}

/// A signature without the marks on its arguments.
pub(crate) fn unmarked(sig: &Signature) -> Signature {
    let mut sig = sig.clone();
    for input in &mut sig.inputs {
        if let FnArg::Typed(argument) = input {
            argument.attrs.retain(|attribute| !is_mark(attribute));
        }
    }
    sig
}
