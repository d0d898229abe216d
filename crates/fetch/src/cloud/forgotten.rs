//! Uploads that nobody will complete: whoever began them was killed before it could note them.

use std::fmt;
use std::time::Duration;

use object_store::ClientOptions;
use object_store::aws::AmazonS3;
use object_store::client::{HttpClient, HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use reqwest::Method;
use serde::Deserialize;

/// For how long the question is good.
const SIGNED_FOR: Duration = Duration::from_secs(60);

/// Lists uploads of S3, which `object_store` does not.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html>
pub(crate) struct Uploads {
    store: AmazonS3,
    client: HttpClient,
}

impl Uploads {
    /// `None` if there can be no client for it.
    pub(super) fn of(store: AmazonS3, options: &ClientOptions) -> Option<Self> {
        let client = ReqwestConnector::default().connect(options).ok()?;
        Some(Self { store, client })
    }

    /// Those of exactly that key, as far as the store tells: not everybody may list them.
    pub(crate) async fn of_key(&self, key: &Path) -> Vec<String> {
        self.listed(key).await.unwrap_or_default()
    }

    async fn listed(&self, key: &Path) -> Option<Vec<String>> {
        let query = [("uploads", ""), ("prefix", key.as_ref())];
        let options = SignedUrlOptions::default().with_query(query);
        let url =
            self.store.signed_url_opts(Method::GET, &Path::default(), SIGNED_FOR, &options).await.ok()?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.as_str().parse().ok()?;
        let response = self.client.execute(request).await.ok()?;
        let is_answer = response.status().is_success();
        let body = response.into_body().bytes().await.ok().filter(|_| is_answer)?;
        Some(ids_of(std::str::from_utf8(&body).ok()?, key.as_ref()))
    }
}

impl fmt::Debug for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploads").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default, rename = "Upload")]
    uploads: Vec<Upload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
}

/// The uploads of that key in an answer; other keys may begin with it.
fn ids_of(answer: &str, key: &str) -> Vec<String> {
    let listed: Result<Listed, _> = quick_xml::de::from_str(answer);
    let uploads = listed.map(|listed| listed.uploads).unwrap_or_default();
    uploads.into_iter().filter(|upload| upload.key == key).map(|upload| upload.upload_id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uploads_of_the_very_key_are_taken() {
        let upload = |key: &str, id: &str| {
            format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Owner><ID>o</ID></Owner></Upload>")
        };
        let answer = format!(
            "<?xml version=\"1.0\"?>\n<ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Bucket>b</Bucket><IsTruncated>false</IsTruncated>{}{}{}</ListMultipartUploadsResult>",
            upload("a &amp; b/Goal.ndjson", "1"),
            upload("a &amp; b/Goal.ndjson.gz", "2"),
            upload("a &amp; b/Goal.ndjson", "3")
        );
        assert_eq!(ids_of(&answer, "a & b/Goal.ndjson"), ["1", "3"]);
        assert_eq!(ids_of(&answer, "a & b/Goal"), Vec::<String>::new());
        for nothing in ["<ListMultipartUploadsResult/>", "<Error><Code>AccessDenied</Code></Error>", "no XML"]
        {
            assert_eq!(ids_of(nothing, "k"), Vec::<String>::new(), "{nothing}");
        }
    }
}
