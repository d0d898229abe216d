use std::vec;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::bucket::{CloudBucket, wait};
use super::{CloudError, ObjectUrl};

/// Objects that are handed over at once. The store's own page (1,000 names, 5,000 in Azure) is held beside them.
const AT_ONCE: usize = 1000;

type Listed = Result<ObjectMeta, object_store::Error>;

/// The objects below a prefix in the order of their keys' bytes, a page at a time.
pub(super) struct Pages {
    url: ObjectUrl,
    /// `None` behind the end and behind an error.
    stream: Option<BoxStream<'static, Vec<Listed>>>,
    page: vec::IntoIter<Listed>,
    /// The key before, with a slash behind it if it marks a folder.
    last: String,
    /// An empty object that marks a folder if what comes next lies below it.
    empty: Option<ObjectMeta>,
    ahead: Option<ObjectMeta>,
}

impl Pages {
    /// Those below a prefix of the bucket; empty for all.
    pub(super) fn below(bucket: &CloudBucket, prefix: &Path) -> Self {
        let whole = prefix.as_ref().is_empty();
        let stream = bucket.objects().list((!whole).then_some(prefix)).ready_chunks(AT_ONCE).boxed();
        Self {
            url: bucket.url_of(prefix),
            stream: Some(stream),
            page: Vec::new().into_iter(),
            last: String::new(),
            empty: None,
            ahead: None,
        }
    }

    fn take(&mut self) -> Result<Option<ObjectMeta>, CloudError> {
        loop {
            if let Some(listed) = self.page.next() {
                return listed.map(Some).map_err(|error| CloudError::reading(&self.url, &error));
            }
            let Some(mut stream) = self.stream.take() else { return Ok(None) };
            let (page, rest) = wait(&self.url, async move {
                let page = stream.next().await;
                (page, stream)
            })?;
            let Some(page) = page else { return Ok(None) };
            self.page = page.into_iter();
            self.stream = Some(rest);
        }
    }

    /// The next one in order. Stores list in order, but not all: S3 directory buckets do not, and neither need Azure
    /// accounts with a hierarchical namespace.
    fn in_order(&mut self) -> Result<Option<ObjectMeta>, CloudError> {
        while let Some(meta) = self.take()? {
            let key = meta.location.as_ref();
            if key > self.last.as_str() || self.last.is_empty() {
                self.last.clear();
                self.last.push_str(key);
                return Ok(Some(meta));
            }
            // The object `folder/` with which some tools make a folder: the client cuts off the slash.
            let mark = format!("{key}/");
            if meta.size != 0 || mark <= self.last {
                let why = "the store does not list it in the order of its keys; name the objects one by one";
                return Err(CloudError::BadListing { url: self.url.to_string(), why });
            }
            self.last = mark;
        }
        Ok(None)
    }

    /// The next one that is no mark of a folder.
    fn advance(&mut self) -> Result<Option<ObjectMeta>, CloudError> {
        if let Some(meta) = self.ahead.take() {
            return Ok(Some(meta));
        }
        loop {
            let next = self.in_order()?;
            let empty = self.empty.take();
            match (empty, next) {
                (None, Some(meta)) if meta.size == 0 => self.empty = Some(meta),
                (None, next) => return Ok(next),
                (Some(empty), None) => return Ok(Some(empty)),
                (Some(empty), Some(next)) => {
                    let marks = is_below(next.location.as_ref(), empty.location.as_ref());
                    if next.size == 0 {
                        self.empty = Some(next);
                        if !marks {
                            return Ok(Some(empty));
                        }
                    } else if marks {
                        return Ok(Some(next));
                    } else {
                        self.ahead = Some(next);
                        return Ok(Some(empty));
                    }
                }
            }
        }
    }
}

impl Iterator for Pages {
    type Item = Result<ObjectMeta, CloudError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            (self.stream, self.empty, self.ahead) = (None, None, None);
            self.page = Vec::new().into_iter();
        }
        next.transpose()
    }
}

/// Whether a key lies in the folder of that name.
pub(super) fn is_below(key: &str, folder: &str) -> bool {
    key.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use object_store::ObjectMeta;

    use super::*;

    fn pages(listed: &[(&str, u64)]) -> Pages {
        let metas: Vec<Listed> = listed
            .iter()
            .map(|(key, size)| {
                Ok(ObjectMeta {
                    location: Path::parse(key).expect("a key"),
                    last_modified: Default::default(),
                    size: *size,
                    e_tag: None,
                    version: None,
                })
            })
            .collect();
        let bucket = CloudBucket::in_memory();
        Pages { stream: Some(stream::iter([metas]).boxed()), ..Pages::below(&bucket, &Path::default()) }
    }

    fn keys(listed: &[(&str, u64)]) -> Vec<String> {
        pages(listed)
            .map(|item| item.map_or_else(|error| error.to_string(), |meta| meta.location.to_string()))
            .collect()
    }

    #[test]
    fn marks_of_folders_are_left_out() {
        assert_eq!(keys(&[("a", 0), ("a/b", 0), ("a/b/c", 1), ("d", 0)]), ["a/b/c", "d"]);
        assert_eq!(keys(&[("a", 0), ("a.x", 1), ("a", 0), ("a/b", 1)]), ["a", "a.x", "a/b"]);
        assert_eq!(keys(&[("a", 0), ("b", 0), ("c", 1)]), ["a", "b", "c"]);
    }

    #[test]
    fn a_list_that_is_not_in_order_is_refused() {
        for listed in [[("b", 1), ("a", 1), ("c", 1)], [("a/b", 1), ("a.b", 1), ("c", 1)]] {
            let keys = keys(&listed);
            assert_eq!(keys.len(), 2, "{keys:?}");
            assert!(keys[1].contains("order"), "{keys:?}");
        }
    }
}
