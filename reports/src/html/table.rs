//! Tables in one style: they scroll on their own in a narrow window.

use maud::{Markup, Render, html};

/// A column, by its content type.
pub(super) enum Column {
    Text(&'static str),
    Number(&'static str),
}

/// A table with a heading per column; the rows are `tr` elements.
pub(super) fn table(columns: &[Column], rows: Markup) -> Markup {
    html! {
        div .scroll tabindex="0" {
            table {
                thead {
                    tr {
                        @for column in columns {
                            @match column {
                                Column::Text(heading) => th { (heading) },
                                Column::Number(heading) => th .number { (heading) },
                            }
                        }
                    }
                }
                tbody { (rows) }
            }
        }
    }
}

/// A cell of a column of numbers.
pub(super) fn number(cell: impl Render) -> Markup {
    html! { td .number { (cell) } }
}

/// Several such cells.
pub(super) fn numbers<T: Render>(cells: impl IntoIterator<Item = T>) -> Markup {
    html! { @for cell in cells { (number(cell)) } }
}

/// A cell that shows a share, between 0 and 1, as a bar; the number is in another cell.
pub(super) fn share(share: f64) -> Markup {
    let wide = (share.clamp(0.0, 1.0) * 160.0).round();
    html! {
        td { svg .share width="160" height="12" aria-hidden="true" { rect .whole width="160" height="12" {} rect width=(wide) height="12" {} } }
    }
}
