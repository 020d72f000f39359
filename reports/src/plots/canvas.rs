//! The target of a drawing: SVG, or pixels for a PNG file. The drawing code does not depend on it.

use std::error::Error;
use std::io;

use plotters::prelude::*;
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind};

/// The form of a plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Scalable text, in light and dark.
    Svg,
    /// Pixels, in light, for programs without SVG.
    #[cfg(feature = "png")]
    Png,
}

/// One backend for both targets, so that the drawing functions need no type parameter.
pub(super) enum Canvas<'a> {
    Svg(SVGBackend<'a>),
    #[cfg(feature = "png")]
    Pixels(BitMapBackend<'a>),
}

type Drawn<T = ()> = Result<T, DrawingErrorKind<io::Error>>;

/// The two backends have different errors; both become an I/O or font error.
fn one_kind<T, E: Error + Send + Sync + 'static>(result: Result<T, DrawingErrorKind<E>>) -> Drawn<T> {
    result.map_err(|error| match error {
        DrawingErrorKind::DrawingError(error) => DrawingErrorKind::DrawingError(io::Error::other(error)),
        DrawingErrorKind::FontError(error) => DrawingErrorKind::FontError(error),
    })
}

macro_rules! either {
    ($canvas:expr, $backend:ident => $call:expr) => {
        match $canvas {
            Canvas::Svg($backend) => one_kind($call),
            #[cfg(feature = "png")]
            Canvas::Pixels($backend) => one_kind($call),
        }
    };
}

impl DrawingBackend for Canvas<'_> {
    type ErrorType = io::Error;

    fn get_size(&self) -> (u32, u32) {
        match self {
            Canvas::Svg(backend) => backend.get_size(),
            #[cfg(feature = "png")]
            Canvas::Pixels(backend) => backend.get_size(),
        }
    }

    fn ensure_prepared(&mut self) -> Drawn {
        either!(self, backend => backend.ensure_prepared())
    }

    fn present(&mut self) -> Drawn {
        either!(self, backend => backend.present())
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn {
        either!(self, backend => backend.draw_pixel(point, color))
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        either!(self, backend => backend.draw_line(from, to, style))
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        a: BackendCoord,
        b: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        either!(self, backend => backend.draw_rect(a, b, style, fill))
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        either!(self, backend => backend.draw_path(path, style))
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        at: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        either!(self, backend => backend.draw_circle(at, radius, style, fill))
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        vertices: I,
        style: &S,
    ) -> Drawn {
        either!(self, backend => backend.fill_polygon(vertices, style))
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn {
        either!(self, backend => backend.draw_text(text, style, at))
    }

    /// The size of a text in pixels, near enough for labels: an SVG is shown with a font that is not known here.
    fn estimate_text_size<S: BackendTextStyle>(&self, text: &str, style: &S) -> Drawn<(u32, u32)> {
        let em = style.size();
        Ok(((0.5 * em * text.chars().count() as f64) as u32, em as u32))
    }
}

/// Registers the bundled font as "sans-serif": a machine may have no fonts. See `fonts/`.
///
/// # Errors
/// When the font cannot be parsed, which a test excludes.
#[cfg(feature = "png")]
pub(super) fn prepare_font() -> Result<(), String> {
    static FONT: &[u8] = include_bytes!("../../fonts/DejaVuSans-subset.ttf");
    plotters::style::register_font("sans-serif", FontStyle::Normal, FONT)
        .map_err(|_| "the bundled font cannot be read".to_string())
}

/// Pixels, three bytes each, as a PNG file.
///
/// # Errors
/// When the encoder fails.
#[cfg(feature = "png")]
pub(super) fn png(pixels: &[u8], (width, height): (u32, u32)) -> Result<Vec<u8>, String> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels));
    written.map_err(|error| error.to_string())?;
    Ok(file)
}
