//! Converts a CTranslate2 Whisper directory (what faster-whisper uses) to a ggml file, in bounded memory.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::catalog;
use super::ctranslate2::{Archive, ReadError};
use super::error::ModelError;
use super::file;
use super::folder;
use super::ggml;
use super::layout::{Dims, Tensor};
use super::mel;
use super::part::Part;
use super::quantize::{BLOCK, Quantization};
use super::record::{Origin, Record};
use super::vocabulary;
use super::weights;

/// What to import and how.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The directory with `model.bin` and a vocabulary.
    pub directory: PathBuf,
    /// The models folder to write into.
    pub folder: PathBuf,
    /// Name of the new model; by default that of the published model of these dimensions.
    pub name: Option<String>,
    /// How to store the weights.
    pub quantize: Quantization,
    /// Replace a model of that name.
    pub force: bool,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The model's name.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// Whether it equals the published file, bit for bit.
    pub published: bool,
}

/// Converts, and tells `progress` how many of how many tensors are written.
///
/// # Errors
/// [`ModelError::NotImportable`] when the directory does not hold a Whisper model with plain weights. A model that was
/// there is untouched then.
pub fn import(
    options: &ImportOptions,
    mut progress: impl FnMut(usize, usize),
) -> Result<Imported, ModelError> {
    let source = Source { directory: &options.directory };
    let mut archive = source.open()?;
    let dims = source.dims(&mut archive)?;
    let name = name(options, &dims)?;
    let path = options.folder.join(folder::file_name(&name)?);
    if path.exists() && !options.force {
        return Err(ModelError::Exists { path });
    }
    let tokens = vocabulary::read(&options.directory)?;
    vocabulary::check(&options.directory, &tokens, dims.is_multilingual())?;

    let mut part = Part::open(&path)?;
    part.restart()?;
    let mut file = BufWriter::with_capacity(256 << 10, part);
    let written = source.convert(&mut archive, &dims, options.quantize, &tokens, &mut file, &mut progress);
    let flushed = written.and_then(|()| file.flush().map_err(|e| Failure::Write(e).at(&path)));
    let (part, _) = file.into_parts();
    // As before a load: what is not checked while it is converted is found here, before it is in its place.
    let sound = flushed.and_then(|()| {
        weights::check(file::open(part.path())?).map_err(|unsound| source.refuse(unsound.to_string()))
    });
    if let Err(error) = sound {
        part.discard();
        return Err(error);
    }
    // A conversion that came out equal to the published file is one.
    let published = catalog::CATALOG.iter().any(|model| model.sha256 == part.sha256());
    let origin = if published { Origin::Published } else { Origin::Imported };
    let Record { size, sha256, .. } = Record::install(part, &path, &name, origin)?;
    tracing::info!(name, size, sha256, "model imported");
    Ok(Imported { name, path, size, sha256, published })
}

fn name(options: &ImportOptions, dims: &Dims) -> Result<String, ModelError> {
    if let Some(name) = &options.name {
        return Ok(name.clone());
    }
    let published = dims.published_name().ok_or_else(|| ModelError::Unnamed {
        sizes: format!(
            "width {}, {} + {} layers, {} tokens",
            dims.audio_state, dims.audio_layer, dims.text_layer, dims.vocab
        ),
    })?;
    let plain = options.quantize == Quantization::F16;
    Ok(if plain { published.to_owned() } else { format!("{published}-{}", options.quantize) })
}

struct Source<'a> {
    directory: &'a Path,
}

/// What can go wrong while values flow from one file to the other.
#[derive(Debug)]
enum Failure {
    Read(ReadError),
    Write(io::Error),
    NotFinite,
    KeyBias,
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl Failure {
    /// `at` is the file that is written; other failures are the source's.
    fn at(self, at: &Path) -> ModelError {
        match self {
            Self::Write(source) => ModelError::Io { action: "write", path: at.to_owned(), source },
            Self::Read(error) => ModelError::NotImportable { path: at.to_owned(), what: error.to_string() },
            Self::NotFinite => ModelError::NotImportable {
                path: at.to_owned(),
                what: "model.bin holds a weight that is not a finite number; it is damaged".to_owned(),
            },
            Self::KeyBias => ModelError::NotImportable {
                path: at.to_owned(),
                what: "its keys have a bias, Whisper's have none".to_owned(),
            },
        }
    }
}

/// Where the values of a ggml tensor lie in the archive: which third of which fused variable.
struct Place {
    variable: String,
    /// Skip this many times the tensor's own size.
    skip: u64,
    /// How many tensors are fused in the variable.
    fused: u64,
}

impl Source<'_> {
    fn refuse(&self, what: impl Into<String>) -> ModelError {
        ModelError::NotImportable { path: self.directory.to_owned(), what: what.into() }
    }

    fn open(&self) -> Result<Archive<File>, ModelError> {
        let path = self.directory.join("model.bin");
        let file = file::open(&path).map_err(|error| {
            let missing = |kind| matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
            if matches!(&error, ModelError::Io { source, .. } if missing(source.kind())) {
                return self.refuse(
                    "it has no model.bin; give the directory that holds model.bin, config.json and vocabulary.txt",
                );
            }
            error
        })?;
        let archive = Archive::open(file).map_err(|e| self.refuse(e.to_string()))?;
        if archive.is_quantised() {
            return Err(self.refuse(
                "its weights are whole numbers (int8 or int16); import the float16 or float32 model and quantise it \
                 here with --quantize q8_0",
            ));
        }
        Ok(archive)
    }

    fn dims(&self, archive: &mut Archive<impl Read + Seek>) -> Result<Dims, ModelError> {
        let shape = |name: &str, rank: usize| {
            let found = archive.variable(name).filter(|v| v.shape.len() == rank).map(|v| v.shape.clone());
            found.ok_or_else(|| self.refuse(format!("model.bin has no {name} of {rank} dimensions")))
        };
        let audio = shape("encoder/position_encodings/encodings", 2)?;
        let text = shape("decoder/position_encodings/encodings", 2)?;
        let conv = shape("encoder/conv1/weight", 3)?;
        let vocab = shape("decoder/embeddings/weight", 2)?;
        let dims = Dims {
            vocab: vocab[0],
            audio_ctx: audio[0],
            audio_state: audio[1],
            audio_head: self.heads(archive, "encoder", audio[1])?,
            audio_layer: layers(archive, "encoder"),
            text_ctx: text[0],
            text_state: text[1],
            text_head: self.heads(archive, "decoder", text[1])?,
            text_layer: layers(archive, "decoder"),
            mels: conv[1],
        };
        dims.check().map_err(|what| self.refuse(what))?;
        Ok(dims)
    }

    fn heads(
        &self,
        archive: &mut Archive<impl Read + Seek>,
        side: &str,
        width: u32,
    ) -> Result<u32, ModelError> {
        let stated = archive.integer(&format!("{side}/num_heads")).map_err(|e| self.refuse(e.to_string()))?;
        // Older converters leave it out; every Whisper head is 64 wide.
        Ok(stated.and_then(|n| u32::try_from(n).ok()).unwrap_or(width / 64))
    }

    fn convert(
        &self,
        archive: &mut Archive<impl Read + Seek>,
        dims: &Dims,
        weights: Quantization,
        tokens: &[Vec<u8>],
        file: &mut BufWriter<Part>,
        progress: &mut impl FnMut(usize, usize),
    ) -> Result<(), ModelError> {
        let filters = mel::filters(dims.mels as usize);
        let failed = |e: Failure| match e {
            Failure::Write(_) => e.at(Path::new("the new model")),
            Failure::Read(_) | Failure::NotFinite | Failure::KeyBias => e.at(self.directory),
        };
        ggml::write_head(file, dims, weights, &filters, tokens).map_err(|e| failed(Failure::Write(e)))?;
        let tensors = dims.tensors();
        for (done, tensor) in tensors.iter().enumerate() {
            self.copy(archive, tensor, weights, file).map_err(failed)?;
            progress(done + 1, tensors.len());
        }
        Ok(())
    }

    fn copy(
        &self,
        archive: &mut Archive<impl Read + Seek>,
        tensor: &Tensor,
        weights: Quantization,
        file: &mut BufWriter<Part>,
    ) -> Result<(), Failure> {
        let place = place(&tensor.name);
        let values = tensor.values();
        let found = archive.variable(&place.variable).map(|v| v.values());
        if found != Some(place.fused * values) {
            return Err(Failure::Read(ReadError::Refused(format!(
                "{} has {} values, {} has {}",
                place.variable,
                found.unwrap_or(0),
                tensor.name,
                values
            ))));
        }
        if tensor.name.ends_with("key.weight") {
            no_key_bias(archive, &place, u64::from(tensor.row()))?;
        }
        let storage = ggml::write_tensor_head(file, tensor, weights).map_err(Failure::Write)?;
        let mut bytes = Vec::new();
        archive.stream(&place.variable, place.skip * values, values, BLOCK, |piece| {
            if !piece.iter().all(|v| v.is_finite()) {
                return Err(Failure::NotFinite);
            }
            bytes.clear();
            match storage {
                None => bytes.extend(piece.iter().flat_map(|v| v.to_le_bytes())),
                Some(storage) => storage.encode(piece, &mut bytes),
            }
            file.write_all(&bytes).map_err(Failure::Write)
        })
    }
}

fn layers(archive: &Archive<impl Read + Seek>, side: &str) -> u32 {
    (0..1_000).take_while(|layer| archive.has_prefix(&format!("{side}/layer_{layer}/"))).count() as u32
}

/// A fused bias has a part for the keys, which ggml has not: it must be zero.
fn no_key_bias(archive: &mut Archive<impl Read + Seek>, place: &Place, width: u64) -> Result<(), Failure> {
    let bias = place.variable.replace("/weight", "/bias");
    archive.stream(&bias, place.skip * width, width, 1, |piece| {
        if piece.iter().all(|&v| v == 0.0) { Ok(()) } else { Err(Failure::KeyBias) }
    })
}

/// From OpenAI's name to CTranslate2's.
fn place(name: &str) -> Place {
    let whole = |variable: String| Place { variable, skip: 0, fused: 1 };
    match name {
        "encoder.positional_embedding" => whole("encoder/position_encodings/encodings".to_owned()),
        "decoder.positional_embedding" => whole("decoder/position_encodings/encodings".to_owned()),
        "decoder.token_embedding.weight" => whole("decoder/embeddings/weight".to_owned()),
        _ => {
            let (path, leaf) = name.rsplit_once('.').expect("the layout's names have a leaf");
            let norm = if leaf == "weight" { "gamma" } else { "beta" };
            match path.split('.').collect::<Vec<_>>()[..] {
                ["encoder", "ln_post"] => whole(format!("encoder/layer_norm/{norm}")),
                ["decoder", "ln"] => whole(format!("decoder/layer_norm/{norm}")),
                ["encoder", conv] => whole(format!("encoder/{conv}/{leaf}")),
                [side, "blocks", layer, ref rest @ ..] => {
                    let block = format!("{side}/layer_{layer}");
                    match *rest {
                        ["mlp_ln"] => whole(format!("{block}/ffn/layer_norm/{norm}")),
                        ["mlp", "0"] => whole(format!("{block}/ffn/linear_0/{leaf}")),
                        ["mlp", "2"] => whole(format!("{block}/ffn/linear_1/{leaf}")),
                        ["attn_ln"] => whole(format!("{block}/self_attention/layer_norm/{norm}")),
                        ["cross_attn_ln"] => whole(format!("{block}/attention/layer_norm/{norm}")),
                        ["attn", part] => own_attention(&block, part, leaf),
                        ["cross_attn", part] => cross_attention(&block, part, leaf),
                        _ => unreachable!("no such tensor in the layout: {name}"),
                    }
                }
                _ => unreachable!("no such tensor in the layout: {name}"),
            }
        }
    }
}

/// Query, key and value are fused, in this order.
fn own_attention(block: &str, part: &str, leaf: &str) -> Place {
    let (linear, skip, fused) = match part {
        "query" => (0, 0, 3),
        "key" => (0, 1, 3),
        "value" => (0, 2, 3),
        _ => (1, 0, 1),
    };
    Place { variable: format!("{block}/self_attention/linear_{linear}/{leaf}"), skip, fused }
}

/// The query stands alone; key and value are fused.
fn cross_attention(block: &str, part: &str, leaf: &str) -> Place {
    let (linear, skip, fused) = match part {
        "query" => (0, 0, 1),
        "key" => (1, 0, 2),
        "value" => (1, 1, 2),
        _ => (2, 0, 1),
    };
    Place { variable: format!("{block}/attention/linear_{linear}/{leaf}"), skip, fused }
}

#[cfg(test)]
mod tests;
