//! Which columns of a table hold the vectors, the ids and the metadata.

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};

use super::{MetadataColumns, Options};
use crate::collection::{can_be_field, can_be_field_name, fields_of, flattened};
use crate::{Error, ErrorKind, Result, id_column, suggest};

/// The names that are looked for when none is given.
const VECTOR_NAMES: [&str; 2] = ["vector", "embedding"];
const ID_NAME: &str = "id";

/// The columns that are read, by their index in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub vector: usize,
    pub id: Option<usize>,
    pub metadata: Vec<usize>,
}

impl Columns {
    /// The columns that the options name, or those that fit.
    pub(super) fn choose(schema: &Schema, options: &Options<'_>) -> Result<Self> {
        let vector = match &options.vector_column {
            Some(name) => {
                let (index, field) = find(schema, name)?;
                check(is_vector(field.data_type()), field, "lists of f32, f64, f16, u8 or i8")?;
                index
            }
            None => guess_vector(schema)?,
        };
        let id = match &options.id_column {
            Some(name) => {
                let (index, field) = find(schema, name)?;
                check(id_column::is_supported(field.data_type()), field, "integers or texts")?;
                Some(index)
            }
            None => guess_id(schema),
        };
        let metadata = metadata(schema, &options.metadata_columns, (vector, id))?;
        Ok(Self { vector, id, metadata })
    }

    /// The columns that were to be metadata and cannot be, with their types.
    pub(super) fn left_out(&self, schema: &Schema, options: &Options<'_>) -> Vec<String> {
        if options.metadata_columns != MetadataColumns::All {
            return Vec::new();
        }
        let others = schema.fields().iter().enumerate();
        let others = others.filter(|(index, _)| is_other(*index, self.vector, self.id));
        let fields = others.flat_map(|(_, field)| fields_of(field));
        let unfit = fields.filter(|(name, data_type)| !is_metadata(name, data_type));
        unfit.map(|(name, data_type)| format!("{name} ({data_type})")).collect()
    }

    /// The indices in ascending order.
    pub(super) fn ascending(&self) -> Vec<usize> {
        let columns = [self.vector].into_iter().chain(self.id);
        let mut indices: Vec<usize> = columns.chain(self.metadata.iter().copied()).collect();
        indices.sort_unstable();
        indices.dedup();
        indices
    }

    /// The same columns when only they are read.
    pub(super) fn among_themselves(&self) -> Self {
        let read = self.ascending();
        let place = |index: usize| read.partition_point(|other| *other < index);
        let metadata = self.metadata.iter().map(|index| place(*index)).collect();
        Self { vector: place(self.vector), id: self.id.map(place), metadata }
    }
}

/// The columns of the metadata; all of them are those that can be metadata and are nothing else.
fn metadata(
    schema: &Schema,
    wanted: &MetadataColumns,
    (vector, id): (usize, Option<usize>),
) -> Result<Vec<usize>> {
    match wanted {
        MetadataColumns::None => Ok(Vec::new()),
        MetadataColumns::All => {
            let others = (0..schema.fields().len()).filter(|index| is_other(*index, vector, id));
            Ok(others.filter(|index| has_metadata(schema.field(*index))).collect())
        }
        MetadataColumns::Named(names) => {
            let column = |name: &String| {
                let (index, field) = find(schema, name)?;
                let fits = fields_of(field).iter().all(|(_, data_type)| can_be_field(data_type));
                check(fits, field, "values that metadata have")?;
                Ok(index)
            };
            let mut columns = names.iter().map(column).collect::<Result<Vec<_>>>()?;
            columns.sort_unstable();
            columns.dedup();
            Ok(columns)
        }
    }
}

fn is_other(index: usize, vector: usize, id: Option<usize>) -> bool {
    index != vector && Some(index) != id
}

/// Whether some field of a column, which are several if it holds structs, can be metadata.
fn has_metadata(field: &Field) -> bool {
    fields_of(field).iter().any(|(name, data_type)| is_metadata(name, data_type))
}

fn is_metadata(name: &str, data_type: &DataType) -> bool {
    can_be_field(data_type) && can_be_field_name(name)
}

/// The columns of metadata as fields, without those that cannot be metadata.
pub(super) fn fitting(columns: &RecordBatch) -> Result<RecordBatch> {
    let fields = flattened(columns)?;
    let schema = fields.schema();
    let fits = |index: &usize| {
        let field = schema.field(*index);
        is_metadata(field.name(), field.data_type())
    };
    let fitting: Vec<usize> = (0..fields.num_columns()).filter(fits).collect();
    let fitting = fields.project(&fitting);
    fitting.map_err(|error| Error::invalid("the columns do not fit").caused_by(error))
}

/// Whether a column holds lists of numbers that can be vectors.
fn is_vector(data_type: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, LargeListView, List, ListView};
    use DataType::{Float16, Float32, Float64, Int8, UInt8};
    let (List(item)
    | LargeList(item)
    | FixedSizeList(item, _)
    | ListView(item)
    | LargeListView(item)) = data_type
    else {
        return false;
    };
    matches!(item.data_type(), Float16 | Float32 | Float64 | Int8 | UInt8)
}

fn guess_vector(schema: &Schema) -> Result<usize> {
    let fields = schema.fields().iter().enumerate();
    let fitting: Vec<(usize, &str)> = fields
        .filter(|(_, field)| is_vector(field.data_type()))
        .map(|(index, field)| (index, field.name().as_str()))
        .collect();
    let named = |wanted: &str| fitting.iter().find(|(_, name)| *name == wanted);
    let named = VECTOR_NAMES.iter().find_map(|name| named(name));
    match (named, fitting.as_slice()) {
        (Some((index, _)), _) | (None, [(index, _)]) => Ok(*index),
        (None, []) => {
            let what = "no column holds lists of f32, f64, f16, u8 or i8";
            let advice = format!("the columns are {}", described(schema).join(", "));
            Err(Error::new(ErrorKind::NotFound, what).advise(advice))
        }
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|(_, name)| *name).collect();
            let what = format!("several columns may be the vectors: {}", names.join(", "));
            Err(Error::invalid(what).advise("name one of them"))
        }
    }
}

fn guess_id(schema: &Schema) -> Option<usize> {
    let (index, field) = schema.column_with_name(ID_NAME)?;
    id_column::is_supported(field.data_type()).then_some(index)
}

fn find<'a>(schema: &'a Schema, name: &str) -> Result<(usize, &'a Field)> {
    schema.column_with_name(name).ok_or_else(|| {
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let meant = suggest::nearest(name, names);
        let hint = meant.map_or_else(String::new, |name| format!("did you mean {name:?}? "));
        let advice = format!("{hint}the columns are {}", described(schema).join(", "));
        let what = format!("there is no column {name:?}");
        Error::new(ErrorKind::NotFound, what).advise(advice)
    })
}

fn check(fits: bool, field: &Field, expected: &str) -> Result<()> {
    if fits {
        return Ok(());
    }
    let (name, data_type) = (field.name(), field.data_type());
    let what = format!("the column {name:?} holds {data_type}, not {expected}");
    Err(Error::invalid(what).advise("convert it to one of these, or name another column"))
}

/// Every column with its type.
fn described(schema: &Schema) -> Vec<String> {
    schema.fields().iter().map(|field| describe(field)).collect()
}

fn describe(field: &Field) -> String {
    format!("{} ({})", field.name(), field.data_type())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, Schema};

    use super::Columns;
    use crate::import::{MetadataColumns, Options};

    fn columns(vector: usize, id: Option<usize>) -> Columns {
        Columns { vector, id, metadata: Vec::new() }
    }

    fn list(item: DataType) -> DataType {
        DataType::List(Arc::new(Field::new("item", item, true)))
    }

    fn choose(
        fields: &[(&str, DataType)],
        vector: Option<&str>,
        id: Option<&str>,
    ) -> Result<Columns, String> {
        let field =
            |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
        let schema = Schema::new(fields.iter().map(field).collect::<Vec<_>>());
        let options = Options {
            vector_column: vector.map(str::to_owned),
            id_column: id.map(str::to_owned),
            ..Options::default()
        };
        Columns::choose(&schema, &options).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_are_guessed_by_name_and_type() {
        let (f32s, texts) = (list(DataType::Float32), list(DataType::Utf8));
        let only = [("id", DataType::Float64), ("tags", texts.clone()), ("x", f32s.clone())];
        assert_eq!(choose(&only, None, None), Ok(columns(2, None)));
        let named = [("a", f32s.clone()), ("embedding", f32s.clone()), ("id", DataType::Utf8)];
        assert_eq!(choose(&named, None, None), Ok(columns(1, Some(2))));
        let both = [("embedding", f32s.clone()), ("vector", list(DataType::Int8))];
        assert_eq!(choose(&both, None, None), Ok(columns(1, None)));
        // A column of the right name and the wrong type is not taken.
        let wrong = [("vector", texts), ("x", f32s)];
        assert_eq!(choose(&wrong, None, None), Ok(columns(1, None)));
    }

    #[test]
    fn what_cannot_be_guessed_is_explained() {
        let f32s = list(DataType::Float32);
        let several = [("a", f32s.clone()), ("b", f32s.clone())];
        let message = choose(&several, None, None).unwrap_err();
        assert!(message.contains("several columns may be the vectors: a, b"), "{message}");
        let none = [("title", DataType::Utf8), ("n", DataType::Int64)];
        let message = choose(&none, None, None).unwrap_err();
        assert!(message.contains("title (Utf8), n (Int64)"), "{message}");
        let message = choose(&several, Some("A1"), None).unwrap_err();
        assert!(message.contains("no column \"A1\"; did you mean \"a\"?"), "{message}");
        let fields = [("embedding", f32s), ("title", DataType::Boolean)];
        let message = choose(&fields, Some("title"), None).unwrap_err();
        assert!(message.contains("holds Boolean, not lists of f32"), "{message}");
        let fields_of_integers = [("tokens", list(DataType::Int64))];
        let message = choose(&fields_of_integers, Some("tokens"), None).unwrap_err();
        assert!(message.contains("holds List(Int64), not lists of f32, f64"), "{message}");
        assert!(message.contains("; convert it to one of these"), "{message}");
        let message = choose(&fields, None, Some("embedding")).unwrap_err();
        assert!(message.contains("not integers or texts"), "{message}");
    }

    #[test]
    fn columns_keep_their_order_when_only_they_are_read() {
        let between = columns(3, Some(5));
        assert_eq!(between.ascending(), [3, 5]);
        assert_eq!(between.among_themselves(), columns(0, Some(1)));
        let between = columns(3, Some(1));
        assert_eq!(between.ascending(), [1, 3]);
        assert_eq!(between.among_themselves(), columns(1, Some(0)));
        let alone = columns(3, None);
        assert_eq!(alone.among_themselves(), columns(0, None));
    }

    #[test]
    fn metadata_are_the_other_columns_or_those_that_are_named() {
        let fields = vec![
            Field::new("vector", list(DataType::Float32), true),
            Field::new("other", list(DataType::Float32), true),
            Field::new("tags", list(DataType::Utf8), true),
            Field::new("id", DataType::Int64, true),
            Field::new("year", DataType::Int16, true),
            Field::new("$odd", DataType::Utf8, true),
        ];
        let schema = Schema::new(fields);
        let choose = |metadata_columns| {
            let options = Options { metadata_columns, ..Options::default() };
            let chosen = Columns::choose(&schema, &options);
            chosen.map(|chosen| (chosen.left_out(&schema, &options), chosen))
        };
        let (left_out, chosen) = choose(MetadataColumns::All).unwrap();
        assert_eq!((chosen.vector, chosen.id, &chosen.metadata[..]), (0, Some(3), &[2, 4][..]));
        assert_eq!(left_out, ["other (List(Float32))", "$odd (Utf8)"]);
        let among = chosen.among_themselves();
        assert_eq!((among.vector, among.id, &among.metadata[..]), (0, Some(2), &[1, 3][..]));
        let named = |name: &str| choose(MetadataColumns::Named(vec![name.to_owned()]));
        let (left_out, chosen) = named("year").unwrap();
        assert_eq!((left_out.len(), &chosen.metadata[..]), (0, &[4][..]));
        let message = named("yaer").unwrap_err().to_string();
        assert!(message.contains("did you mean \"year\"?"), "{message}");
        let message = named("other").unwrap_err().to_string();
        assert!(message.contains("not values that metadata have"), "{message}");
    }
}
