//! A growing buffer whose first element lies on a cache line.
//!
//! A row of 128 floats is eight cache lines when it starts on one and nine when it does not, and
//! every wide load of it then straddles two lines.

use std::ops::{Deref, DerefMut};

use crate::kernels::advise_huge;

/// The alignment of the first element, in bytes.
const LINE_BYTES: usize = 64;

/// A buffer of plain values that starts on a cache line.
#[derive(Debug)]
pub(crate) struct Aligned<T> {
    items: Vec<T>,
    /// Fillers in front of the first element.
    start: usize,
}

impl<T: Default> Aligned<T> {
    /// An empty buffer that holds `capacity` elements without moving.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let fillers = LINE_BYTES / size_of::<T>();
        let mut items = Vec::<T>::with_capacity(capacity + fillers);
        advise_huge(&mut items);
        let start = items.as_ptr().align_offset(LINE_BYTES).min(fillers);
        items.resize_with(start, T::default);
        Self { items, start }
    }

    /// A buffer of `len` default elements.
    pub(crate) fn zeroed(len: usize) -> Self {
        let mut buffer = Self::with_capacity(len);
        buffer.items.resize_with(buffer.start + len, T::default);
        buffer
    }

    /// A buffer of `len` elements of one value.
    pub(crate) fn filled(len: usize, value: T) -> Self
    where
        T: Clone,
    {
        let mut buffer = Self::with_capacity(len);
        buffer.items.resize(buffer.start + len, value);
        buffer
    }

    /// Appends elements, moving to a larger buffer when this one is full.
    pub(crate) fn extend(&mut self, elements: impl ExactSizeIterator<Item = T>) {
        let needed = self.items.len() + elements.len();
        if needed > self.items.capacity() {
            let mut larger = Self::with_capacity((self.len() * 2).max(needed));
            larger.items.extend(self.items.drain(self.start..));
            *self = larger;
        }
        self.items.extend(elements);
    }
}

impl<T: Default> FromIterator<T> for Aligned<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let elements: Vec<T> = elements.into_iter().collect();
        let mut buffer = Self::with_capacity(elements.len());
        buffer.extend(elements.into_iter());
        buffer
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items[self.start..]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.items[self.start..]
    }
}

impl<T: Default + Clone> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        let mut buffer = Self::with_capacity(self.len());
        buffer.extend(self.iter().cloned());
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::{Aligned, LINE_BYTES};

    #[test]
    fn starts_on_a_line_through_growth_and_clone() {
        let mut buffer = Aligned::<f32>::with_capacity(3);
        for value in 0..1000_u16 {
            buffer.extend([f32::from(value)].into_iter());
            assert_eq!(buffer.as_ptr().align_offset(LINE_BYTES), 0);
        }
        let copy = buffer.clone();
        assert_eq!(copy.as_ptr().align_offset(LINE_BYTES), 0);
        assert!(copy.iter().enumerate().all(|(index, value)| *value == index as f32));
    }
}
