//! Parts of the program that a build may leave out, so that the first build is short.

/// The error of a request that needs a cargo feature which this build lacks.
///
/// ```
/// assert_eq!(
///     tribunal_records::features::left_out("serve"),
///     "this build lacks the feature `serve`: build tribunal with `--features full`"
/// );
/// ```
pub fn left_out(feature: &str) -> String {
    format!("this build lacks the feature `{feature}`: build tribunal with `--features full`")
}
