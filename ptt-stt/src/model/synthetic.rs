//! Small files of both formats for the tests: one layer of width 64 with a full vocabulary.

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use super::ggml;
use super::layout::{Dims, TEXT_TOKENS, Tensor};
use super::mel;
use super::quantize::{BLOCK, Quantization};

/// The smallest dimensions that are allowed.
pub const DIMS: Dims = Dims {
    vocab: 51_864,
    audio_ctx: 1_500,
    audio_state: 64,
    audio_head: 1,
    audio_layer: 1,
    text_ctx: 448,
    text_state: 64,
    text_head: 1,
    text_layer: 1,
    mels: 80,
};

/// SHA-256 of the vocabulary of these files, in which every text is its token's number.
pub const VOCABULARY: &str = "6211c52cb612872084aa2694cc8bcde24b5e498c3941eba7e417e29bc9e7e2ca";

/// A sound ggml file, and where its heads of tensors lie.
pub fn ggml_file(weights: Quantization) -> (Vec<u8>, Vec<Range<usize>>) {
    let tokens: Vec<Vec<u8>> = (0..TEXT_TOKENS).map(|id| id.to_string().into_bytes()).collect();
    let mut file = Vec::new();
    ggml::write_head(&mut file, &DIMS, weights, &mel::filters(80), &tokens).unwrap();
    let mut heads = Vec::new();
    for tensor in DIMS.tensors() {
        let start = file.len();
        let storage = ggml::write_tensor_head(&mut file, &tensor, weights).unwrap();
        heads.push(start..file.len());
        let values = vec![0.125; tensor.values() as usize];
        match storage {
            None => values.iter().for_each(|v: &f32| file.write_all(&v.to_le_bytes()).unwrap()),
            Some(storage) => storage.encode(&values, &mut file),
        }
    }
    (file, heads)
}

/// Writes a CTranslate2 directory whose model has [`DIMS`].
pub fn ctranslate2_directory(directory: &Path) {
    fs::write(directory.join("model.bin"), ctranslate2_file()).unwrap();
    let words: Vec<String> = (0..TEXT_TOKENS + 1_607).map(|id| id.to_string()).collect();
    fs::write(directory.join("vocabulary.txt"), words.join("\n")).unwrap();
}

/// A sound `model.bin` in f16.
pub fn ctranslate2_file() -> Vec<u8> {
    let mut variables = vec![("encoder/num_heads".to_owned(), vec![], 2_u8, 1_i16.to_le_bytes().to_vec())];
    for (name, shape) in ctranslate2_shapes() {
        let count: u32 = shape.iter().product();
        let mut bytes = Vec::with_capacity(2 * count as usize);
        for i in 0..count {
            // The keys' part of a fused bias is zero, as in every Whisper model.
            let key = name.ends_with("self_attention/linear_0/bias") && (64..128).contains(&i)
                || name.ends_with("/attention/linear_1/bias") && i < 64;
            let value: u16 = if key { 0 } else { 0x3000 + (i % 64) as u16 };
            bytes.extend(value.to_le_bytes());
        }
        variables.push((name, shape, 4, bytes));
    }
    let mut file = Vec::new();
    file.extend(6_u32.to_le_bytes());
    string(&mut file, "WhisperSpec");
    file.extend(3_u32.to_le_bytes());
    file.extend((variables.len() as u32).to_le_bytes());
    for (name, shape, kind, bytes) in variables {
        string(&mut file, &name);
        file.push(shape.len() as u8);
        shape.iter().for_each(|d| file.extend(d.to_le_bytes()));
        file.push(kind);
        file.extend((bytes.len() as u32).to_le_bytes());
        file.extend(bytes);
    }
    file.extend(0_u32.to_le_bytes());
    file
}

/// What a tensor of a converted [`ctranslate2_file`] holds.
pub fn expected_values(tensor: &Tensor, skip: u64) -> impl Iterator<Item = u16> {
    let start = skip * tensor.values();
    (0..tensor.values()).map(move |i| 0x3000 + ((start + i) % 64) as u16)
}

fn ctranslate2_shapes() -> Vec<(String, Vec<u32>)> {
    let s = DIMS.audio_state;
    let mut list = vec![
        ("encoder/position_encodings/encodings".to_owned(), vec![1_500, s]),
        ("decoder/position_encodings/encodings".to_owned(), vec![448, s]),
        ("decoder/embeddings/weight".to_owned(), vec![DIMS.vocab, s]),
        ("encoder/conv1/weight".to_owned(), vec![s, 80, 3]),
        ("encoder/conv1/bias".to_owned(), vec![s]),
        ("encoder/conv2/weight".to_owned(), vec![s, s, 3]),
        ("encoder/conv2/bias".to_owned(), vec![s]),
    ];
    let mut norm = |name: &str| {
        list.push((format!("{name}/gamma"), vec![s]));
        list.push((format!("{name}/beta"), vec![s]));
    };
    norm("encoder/layer_norm");
    norm("decoder/layer_norm");
    for side in ["encoder", "decoder"] {
        norm(&format!("{side}/layer_0/self_attention/layer_norm"));
        norm(&format!("{side}/layer_0/ffn/layer_norm"));
    }
    norm("decoder/layer_0/attention/layer_norm");
    let mut linear = |name: &str, from: u32, to: u32| {
        list.push((format!("{name}/weight"), vec![to, from]));
        list.push((format!("{name}/bias"), vec![to]));
    };
    for side in ["encoder", "decoder"] {
        linear(&format!("{side}/layer_0/self_attention/linear_0"), s, 3 * s);
        linear(&format!("{side}/layer_0/self_attention/linear_1"), s, s);
        linear(&format!("{side}/layer_0/ffn/linear_0"), s, 4 * s);
        linear(&format!("{side}/layer_0/ffn/linear_1"), 4 * s, s);
    }
    linear("decoder/layer_0/attention/linear_0", s, s);
    linear("decoder/layer_0/attention/linear_1", s, 2 * s);
    linear("decoder/layer_0/attention/linear_2", s, s);
    list
}

fn string(file: &mut Vec<u8>, text: &str) {
    file.extend((text.len() as u16 + 1).to_le_bytes());
    file.extend(text.as_bytes());
    file.push(0);
}

/// Rows of every tensor of [`DIMS`] are whole blocks.
const _: () = assert!((DIMS.audio_state as usize).is_multiple_of(BLOCK));
