//! How much memory a run takes. A binary of its own, because the allocator counts for the whole process.
