//! Videos of a run's policy: in the page itself where they are small, next to it otherwise.

use super::experiment::Experiment;
use crate::report::canvas::escaped;

/// A video of a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Video {
    /// What is written under it: its file.
    pub name: String,
    /// Where it is.
    pub content: VideoContent,
}

/// Where a video is.
#[derive(Debug, Clone, PartialEq)]
pub enum VideoContent {
    /// In the page: the bytes of a GIF.
    Gif(Vec<u8>),
    /// In a file, by its path from the page's folder, with `/` between folders. It does not travel with the page.
    File(String),
}

/// The section; nothing where no run has a video.
pub(super) fn section(experiments: &[Experiment]) -> String {
    let mut figures = String::new();
    let runs = experiments.iter().flat_map(|one| &one.runs);
    for video in runs.flat_map(|run| &run.videos) {
        let name = escaped(&video.name);
        let (source, note) = match &video.content {
            VideoContent::Gif(bytes) => (format!("data:image/gif;base64,{}", base64(bytes)), ""),
            VideoContent::File(path) => (address(path), " (a file of its own)"),
        };
        figures.push_str(&format!(
            "<figure><img src=\"{source}\" alt=\"{name}\" loading=\"lazy\"><figcaption>{name}{note}</figcaption></figure>\n"
        ));
    }
    if figures.is_empty() {
        return figures;
    }
    format!("<section>\n<h2>Videos</h2>\n<div class=\"videos\">\n{figures}</div>\n</section>\n")
}

/// A relative path as an address: all but letters, digits and what separates names is written as `%` and a number.
fn address(path: &str) -> String {
    let mut address = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' | b'~' => {
                address.push(char::from(byte));
            }
            _ => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address
}

/// Three bytes in four letters, as in RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * index) & 63) as usize];
            text.push(if index <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::experiment::Run;
    use super::*;

    #[test]
    fn bytes_are_written_as_base64() {
        // From RFC 4648.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
    }

    #[test]
    fn a_small_video_is_in_the_page_and_a_large_one_is_linked() {
        let video = |name: &str, content| Video {
            name: name.into(),
            content,
        };
        let run = Run {
            videos: vec![
                video("a/<best>.gif", VideoContent::Gif(b"foo".to_vec())),
                video("b.gif", VideoContent::File("../läufe/b #1.gif".into())),
            ],
            ..Run::default()
        };
        let html = section(&[Experiment::of(vec![run])]);
        assert!(html.contains("src=\"data:image/gif;base64,Zm9v\" alt=\"a/&lt;best&gt;.gif\""));
        assert!(
            html.contains("src=\"../l%C3%A4ufe/b%20%231.gif\""),
            "{html}"
        );
        assert_eq!(section(&[Experiment::of(vec![Run::default()])]), "");
    }
}
