//! Every instruction set against the scalar loops, on odd lengths and unaligned rows.

use super::lanes::Key;
use super::{
    CODE_ROWS, COLUMN_LANES, FAR_BIAS, FAR_PRODUCT, Kernels, LIST_LANES, Lanes, MAX_COLUMNS,
    MAX_DEPTH, Rounding, SHORT_LIST, Scan, Survivors, products, scalar, spare_bits,
};
use crate::blocks::Blocks;
use crate::candidate::Candidate;
use crate::random::{hash, unit};

fn values(len: usize, seed: u64) -> Vec<f32> {
    (0..len as u64).map(|index| unit(hash(seed, index)) as f32 * 4.0 - 2.0).collect()
}

/// The two sums differ only in the order of additions.
fn assert_close(left: f32, right: f32, terms: usize) {
    let bound = 4.0 * terms as f32 * 4.0 * f32::EPSILON;
    assert!((left - right).abs() <= bound, "{left} against {right} over {terms} terms");
}

#[test]
fn an_instruction_set_is_chosen_by_its_name() {
    assert_eq!(Kernels::choose(None), Ok(*Kernels::available().last().unwrap()));
    for kernels in Kernels::available() {
        assert_eq!(Kernels::choose(Some(kernels.name())), Ok(kernels));
    }
    let message = Kernels::choose(Some("mmx")).unwrap_err();
    assert!(message.starts_with("LOOMDB_INSTRUCTIONS is \"mmx\"; this processor can run scalar"));
}

#[test]
fn distances_agree_with_scalar_on_every_length_and_offset() {
    for kernels in Kernels::available() {
        for len in (0..=140).chain([255, 384, 769, 1536, 4097]) {
            for offset in [0, 1, 3] {
                let left = &values(len + offset, 1)[offset..];
                let right = &values(len + offset, 2)[offset..];
                assert_close(kernels.dot(left, right), scalar::dot(left, right), len);
                let oracle = scalar::l2_squared(left, right);
                assert_close(kernels.l2_squared(left, right), oracle, 4 * len);
            }
        }
    }
}

#[test]
fn many_is_the_same_as_one_by_one() {
    for kernels in Kernels::available() {
        for dim in [1, 7, 16, 33, 128] {
            let mut rows = Blocks::new(dim, values(5 * dim, 3).into_iter().collect());
            rows.append(&values(4 * dim, 4));
            let query = values(dim, 5);
            let nodes = [8, 0, 3, 3, 6, 1];
            let mut out = [0.0; 6];
            kernels.l2_squared_many(&query, rows.rows(), &nodes, &mut out);
            for (node, distance) in nodes.iter().zip(out) {
                let alone = kernels.l2_squared(&query, rows.row(*node as usize));
                assert_eq!(distance.to_bits(), alone.to_bits());
            }
            kernels.dot_many(&query, rows.rows(), &nodes, &mut out);
            for (node, product) in nodes.iter().zip(out) {
                let alone = kernels.dot(&query, rows.row(*node as usize));
                assert_eq!(product.to_bits(), alone.to_bits());
            }
        }
    }
}

#[test]
fn scan_finds_what_scalar_finds() {
    for kernels in Kernels::available() {
        for columns in [0, 1, 15, 16, 17, 100, 513] {
            let products = values(columns, 6);
            let column_bias = values(columns, 7);
            let column_thresholds = values(columns, 8);
            for row_threshold in [f32::NEG_INFINITY, -2.5, 0.0, f32::INFINITY] {
                let scan = Scan {
                    products: &products,
                    scale: -2.0,
                    row_bias: 0.25,
                    column_bias: &column_bias,
                    row_threshold,
                    column_thresholds: &column_thresholds,
                };
                let (mut found, mut expected) = (Survivors::default(), Survivors::default());
                found.restart(columns);
                expected.restart(columns);
                kernels.scan(&scan, &mut found);
                scalar::scan(&scan, &mut expected);
                let name = kernels.name();
                assert!(found.of_row.iter().eq(expected.of_row.iter()), "{name} {columns}");
                let of_columns = expected.of_columns.iter();
                assert!(found.of_columns.iter().eq(of_columns), "{name} {columns}");
            }
        }
    }
}

#[test]
fn products_agree_with_scalar() {
    for (rows, columns, dim) in [(1, 1, 1), (3, 5, 7), (64, 100, 128), (17, 33, 385)] {
        let (left, right) = (values(rows * dim, 9), values(columns * dim, 10));
        let mut out = vec![f32::NAN; rows * columns];
        products(&left, &right, dim, &mut out);
        for row in 0..rows {
            for column in 0..columns {
                let oracle = scalar::dot(&left[row * dim..][..dim], &right[column * dim..][..dim]);
                assert_close(out[row * columns + column], oracle, dim);
            }
        }
    }
}

#[test]
fn insertion_agrees_with_scalar() {
    for kernels in Kernels::available() {
        let mut entries = [Candidate::LAST; SHORT_LIST];
        let mut oracle = entries;
        for (node, distance) in values(200, 11).into_iter().enumerate() {
            let candidate = Candidate::new(distance, node as u32);
            kernels.insert_sorted(&mut entries, candidate);
            scalar::insert_sorted(&mut oracle, candidate);
            assert_eq!(entries, oracle);
            assert!(entries.is_sorted());
        }
    }
}

#[test]
fn insertion_into_lists_of_any_length_agrees_with_scalar() {
    for kernels in Kernels::available() {
        for len in (0..64).step_by(LIST_LANES).chain([256, 1_024]) {
            let mut list = vec![u64::MAX; len];
            let mut oracle = list.clone();
            let words: Vec<u64> = (0..3_000).map(|index| hash(17, index) >> 1).collect();
            for words in words.chunks(7) {
                let first = kernels.insert_all(&mut list, words);
                assert_eq!(first, scalar::insert_all(&mut oracle, words), "{kernels:?}, {len}");
                assert_eq!(list, oracle, "{kernels:?}, {len}");
            }
            let mut sorted = words;
            sorted.sort_unstable();
            assert_eq!(list, sorted[..len]);
        }
    }
}

/// Codes and columns as a product of bytes reads them, from pseudo-random bytes.
fn bytes(len: usize, seed: u64) -> impl Iterator<Item = u8> {
    (0..len as u64).map(move |index| hash(seed, index) as u8)
}

/// Bytes as codes are: from -127 to 127.
fn codes(len: usize, seed: u64) -> Vec<i8> {
    bytes(len, seed).map(|byte| byte.cast_signed().max(-127)).collect()
}

#[test]
fn inner_products_of_bytes_are_exact_on_every_length_and_offset() {
    for kernels in Kernels::available() {
        for len in (0..=140).chain([255, 384, 769, 1536, 4097]) {
            for offset in [0, 1, 3] {
                let left = &codes(len + offset, 14)[offset..];
                let right = &codes(len + offset, 15)[offset..];
                let oracle = scalar::dot_bytes(left, right);
                assert_eq!(kernels.dot_bytes(left, right), oracle, "{} {len}", kernels.name());
            }
        }
    }
}

#[test]
fn many_inner_products_of_bytes_are_those_of_each() {
    let nodes = [8, 0, 3, 3, 6, 1, 2, 7, 4, 5, 8];
    for kernels in Kernels::available() {
        for dim in [1, 7, 32, 33, 64, 128, 200] {
            let mut rows = Blocks::new(dim, codes(5 * dim, 16).into_iter().collect());
            rows.append(&codes(4 * dim, 17));
            let query = codes(dim, 18);
            for count in 0..=nodes.len() {
                let mut out = vec![0; count];
                kernels.dot_bytes_many(&query, rows.rows(), &nodes[..count], &mut out);
                let row = |node: &u32| rows.row(*node as usize);
                let oracle = nodes[..count].iter().map(|node| scalar::dot_bytes(&query, row(node)));
                assert!(out.into_iter().eq(oracle), "{} {dim} {count}", kernels.name());
                let rows = codes(count * dim, 19);
                let mut out = vec![0; count];
                kernels.dot_bytes_run(&query, &rows, &mut out);
                let oracle = rows.chunks(dim).map(|row| scalar::dot_bytes(&query, row));
                assert!(out.into_iter().eq(oracle), "{} {dim} {count}", kernels.name());
            }
        }
    }
}

/// Neither pairs of products nor whole sums overflow.
#[test]
fn extreme_inner_products_of_bytes() {
    let (most, least) = (vec![127; crate::MAX_DIM], vec![-127; crate::MAX_DIM]);
    let square = 127 * 127 * crate::MAX_DIM as i32;
    for kernels in Kernels::available() {
        assert_eq!(kernels.dot_bytes(&most, &most), square);
        assert_eq!(kernels.dot_bytes(&least, &least), square);
        assert_eq!(kernels.dot_bytes(&least, &most), -square);
        assert_eq!(kernels.dot_bytes(&most, &least), -square);
    }
}

#[test]
fn products_of_bytes_agree_with_scalar() {
    for kernels in Kernels::available() {
        for depth in [4, 8, 36, 384, 1_000] {
            for columns in [16, 32, 48, 64, 80, 160] {
                let spare = 8 - kernels.tile_bits();
                let code = |byte: u8| byte.cast_signed() >> spare;
                let codes: Vec<i8> = bytes(CODE_ROWS * depth, 12).map(code).collect();
                let rows = std::array::from_fn(|row| &codes[row * depth..][..depth]);
                let starts = std::array::from_fn(|row| row as i32 * 1_000 - 3_000);
                let packed: Vec<u8> =
                    bytes(columns * depth, 13).map(|byte| byte >> spare).collect();
                let mut out = vec![-1; CODE_ROWS * (columns + 16)];
                let mut oracle = out.clone();
                kernels.multiply_bytes(&rows, &starts, &packed, &mut out);
                scalar::multiply_bytes(&rows, &starts, &packed, &mut oracle);
                assert_eq!(out, oracle, "{} {depth} {columns}", kernels.name());
            }
        }
    }
}

/// The largest sums there can be do not overflow.
#[test]
fn extreme_products_of_bytes() {
    let depth = crate::MAX_DIM;
    for kernels in Kernels::available() {
        let spare = 8 - kernels.tile_bits();
        let (least, most) = (i8::MIN >> spare, u8::MAX >> spare);
        let (code, packed) = (vec![least; depth], vec![most; 16 * depth]);
        let mut out = vec![0; CODE_ROWS * 16];
        kernels.multiply_bytes(&[&code[..]; CODE_ROWS], &[0; CODE_ROWS], &packed, &mut out);
        let expected = i32::from(least) * i32::from(most) * depth as i32;
        assert!(out.iter().all(|entry| *entry == expected), "{}", kernels.name());
    }
}

#[test]
fn packed_columns_agree_with_scalar() {
    for kernels in Kernels::available() {
        for depth in [4, 28, 32, 36, 128, 200] {
            let spare = 8 - kernels.tile_bits();
            let codes: Vec<i8> =
                codes(COLUMN_LANES * depth, 23).iter().map(|code| code >> spare).collect();
            let rows = std::array::from_fn(|row| &codes[row * depth..][..depth]);
            let (mut packed, mut oracle) = (vec![1; codes.len()], vec![2; codes.len()]);
            kernels.pack(&rows, &mut packed);
            scalar::pack(&rows, kernels.tile_offset(), &mut oracle);
            assert_eq!(packed, oracle, "{} {depth}", kernels.name());
        }
    }
}

#[test]
fn rounding_agrees_with_scalar() {
    for kernels in Kernels::available() {
        for len in [1, 15, 16, 33, 384] {
            for scale in [10.0, 63.4, 64.5] {
                let (row, centre) = (values(len, 24), values(len, 25));
                let (mut code, mut oracle) = (vec![0; len], vec![0; len]);
                let (row, centre, scales) = (&row[..], &centre[..], [0.5, scale]);
                let rounded = kernels.round(Rounding { row, centre, scales, code: &mut code });
                let expected = scalar::round(Rounding { row, centre, scales, code: &mut oracle });
                assert_eq!((code, rounded), (oracle, expected), "{} {len}", kernels.name());
                let most = row.iter().zip(centre).map(|(x, c)| ((x - c) * 0.5 * scale).abs());
                assert_eq!(rounded.is_clamped, most.fold(0.0, f32::max) > 127.5);
            }
        }
    }
}

#[test]
fn moved_entries_agree_with_scalar() {
    for kernels in Kernels::available() {
        for columns in [16, 48, 112] {
            let mut matrix: Vec<i32> = (0..(columns * columns) as i32).collect();
            let mut oracle = matrix.clone();
            kernels.mirror(&mut matrix, columns);
            scalar::mirror(&mut oracle, columns);
            assert_eq!(matrix, oracle, "{} {columns}", kernels.name());
            let rows = &oracle[..CODE_ROWS * columns];
            let (mut found, mut expected) = (vec![0; rows.len()], vec![0; rows.len()]);
            kernels.transpose(rows, &mut found);
            scalar::transpose(rows, &mut expected);
            assert_eq!(found, expected, "{} {columns}", kernels.name());
        }
    }
}

/// The oracle sorts; few different distances, so that many tie.
#[test]
fn nearest_columns_are_those_of_a_sort() {
    for kernels in Kernels::available() {
        for (columns, shift) in [(3, 0), (16, 2), (100, 0), (MAX_COLUMNS, 5)] {
            let small = |seed| -> Vec<i32> {
                let words = bytes(columns * CODE_ROWS, seed);
                words.into_iter().map(|byte| i32::from(byte % 50) << shift).collect()
            };
            let (mut entries, mut bias) = (small(21), small(22)[..columns].to_vec());
            let squares = std::array::from_fn(|lane| 200_000 + lane as i32);
            entries[CODE_ROWS + 3] = FAR_PRODUCT;
            bias[0] = FAR_BIAS;
            let lanes = Lanes { entries: &entries, stride: CODE_ROWS, squares, bias: &bias, shift };
            let found = kernels.nearest_columns(&lanes);
            for (lane, square) in squares.iter().enumerate() {
                let distance = |column: usize| {
                    (square + bias[column] - 2 * entries[column * CODE_ROWS + lane]) >> shift
                };
                let is_near = |column: &usize| *column > 0 && !(*column == 1 && lane == 3);
                let mut near: Vec<(i32, usize)> =
                    (0..columns).filter(is_near).map(|column| (distance(column), column)).collect();
                near.sort_unstable();
                for (place, keys) in found.iter().enumerate() {
                    let key = keys[lane];
                    let found = key.square(shift).map(|square| (square, key.column() as usize));
                    let expected = near.get(place);
                    let expected =
                        expected.map(|(square, column)| ((square << shift) as f32, *column));
                    assert_eq!(found, expected, "{} {columns} {lane}", kernels.name());
                }
            }
        }
    }
}

/// The largest distances that rows of the greatest depth can have fit a key.
#[test]
fn extreme_distances_fit_a_key() {
    for (bits, most) in [(7, 127), (8, 254_i64)] {
        let square = most * most * MAX_DEPTH as i64;
        let key = Key::new(square as u32, spare_bits(MAX_DEPTH, bits), 511);
        assert!(key.square(spare_bits(MAX_DEPTH, bits)).is_some(), "{bits}");
        assert_eq!(key.column(), 511);
        let far = (square + i64::from(FAR_BIAS)) as u32;
        assert!(Key::new(far, spare_bits(MAX_DEPTH, bits), 0).square(0).is_none(), "{bits}");
    }
}
