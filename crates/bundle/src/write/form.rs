/// What Bundles are for, as their `type` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Resources that stand together, and nothing more.
    #[default]
    Collection,
    /// What a server is asked to do with each.
    Batch(Method),
    /// What a server is asked to do with all of them, or none.
    Transaction(Method),
}

impl Form {
    /// The `type` of the Bundles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Collection => "collection",
            Self::Batch(_) => "batch",
            Self::Transaction(_) => "transaction",
        }
    }

    /// What a server is asked to do, if it is.
    #[must_use]
    pub fn method(self) -> Option<Method> {
        match self {
            Self::Collection => None,
            Self::Batch(method) | Self::Transaction(method) => Some(method),
        }
    }

    /// What becomes of duplicates unless something else is wanted: where resources are put, no Bundle may put the same twice.
    #[must_use]
    pub fn usual_on_duplicate(self) -> OnDuplicate {
        match self.method() {
            Some(Method::Put) => OnDuplicate::NewBundle,
            Some(Method::Post) | None => OnDuplicate::Uuid,
        }
    }
}

/// What a server is asked to do with a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// `PUT Type/id`: make it or replace it. Doing it twice does no harm; it needs a legal id.
    #[default]
    Put,
    /// `POST Type`: make it under a new id.
    Post,
}

impl Method {
    /// `PUT` or `POST`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Post => "POST",
        }
    }
}

/// What becomes of a resource whose `fullUrl` stands in the open Bundle already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDuplicate {
    /// It gets `urn:uuid:`. References go to the one that came first.
    Uuid,
    /// The Bundle ends, and it is the first of the next.
    NewBundle,
    /// It is [refused](crate::Refused::Duplicate).
    Fail,
}
