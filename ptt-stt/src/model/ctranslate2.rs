//! Reads CTranslate2's `model.bin`: first where every variable lies, then the values of one, piece by piece.
//!
//! Every length in the file is hostile until it was compared with the size of the file.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::quantize::half_to;

/// whisper large-v3 has fewer than 1500.
const MAX_VARIABLES: u32 = 10_000;
const MAX_RANK: u8 = 4;
/// Values that are held at once.
const PIECE: usize = 1 << 16;

/// Why a file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What is wrong with it.
    #[error("model.bin: {0}")]
    Refused(String),
    /// It ends early.
    #[error("model.bin is cut short: it goes on after its end at byte {0}; fetch it again")]
    CutShort(u64),
    /// It cannot be read.
    #[error("model.bin cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// How a variable's values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    F32,
    I8,
    I16,
    I32,
    F16,
    Bf16,
}

impl Kind {
    const fn width(self) -> u64 {
        match self {
            Self::I8 => 1,
            Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 => 4,
        }
    }

    fn from_id(id: u8) -> Option<Self> {
        [Self::F32, Self::I8, Self::I16, Self::I32, Self::F16, Self::Bf16].get(usize::from(id)).copied()
    }
}

/// One variable: its shape and where its values lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Outermost dimension first; empty for a single value.
    pub shape: Vec<u32>,
    /// How the values are stored.
    pub kind: Kind,
    at: u64,
}

impl Variable {
    /// Number of values; was compared with the file's size.
    #[must_use]
    pub fn values(&self) -> u64 {
        self.shape.iter().map(|&d| u64::from(d)).product()
    }
}

/// An opened `model.bin`.
#[derive(Debug)]
pub struct Archive<R> {
    file: BufReader<R>,
    size: u64,
    variables: BTreeMap<String, Variable>,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the table of variables; no values yet.
    ///
    /// # Errors
    /// When it is not a CTranslate2 Whisper model, or a length in it does not fit the file.
    pub fn open(mut file: R) -> Result<Self, ReadError> {
        let size = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        let mut archive = Self { file: BufReader::new(file), size, variables: BTreeMap::new() };
        archive.read_table()?;
        Ok(archive)
    }

    /// Looks a variable up by its name.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)
    }

    /// Whether a name beginning so is there.
    pub fn has_prefix(&self, prefix: &str) -> bool {
        self.variables.range(prefix.to_owned()..).next().is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// Whether any weight is quantised.
    pub fn is_quantised(&self) -> bool {
        let quantised = |name: &str, v: &Variable| {
            name.ends_with("weight_scale")
                || name.ends_with("/weight") && matches!(v.kind, Kind::I8 | Kind::I16 | Kind::I32)
        };
        self.variables.iter().any(|(name, v)| quantised(name, v))
    }

    /// Bytes of all values together.
    #[cfg(test)]
    pub fn bytes_of_values(&self) -> u64 {
        self.variables.values().map(|v| v.values() * v.kind.width()).sum()
    }

    /// A single whole number.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn integer(&mut self, name: &str) -> Result<Option<i64>, ReadError> {
        let Some(variable) = self.variables.get(name).filter(|v| v.values() == 1).cloned() else {
            return Ok(None);
        };
        self.file.seek(SeekFrom::Start(variable.at))?;
        Ok(match variable.kind {
            Kind::I8 => Some(i64::from(i8::from_le_bytes(self.bytes()?))),
            Kind::I16 => Some(i64::from(i16::from_le_bytes(self.bytes()?))),
            Kind::I32 => Some(i64::from(i32::from_le_bytes(self.bytes()?))),
            Kind::F32 | Kind::F16 | Kind::Bf16 => None,
        })
    }

    /// Hands `count` values of a variable from `skip` on to `take`, in pieces of at most 65,536 that end at a
    /// multiple of `align`.
    ///
    /// # Errors
    /// When the variable holds whole numbers or fewer values, or the file cannot be read; and what `take` returns.
    pub fn stream<E: From<ReadError>>(
        &mut self,
        name: &str,
        skip: u64,
        count: u64,
        align: usize,
        mut take: impl FnMut(&[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let refused = |what: String| E::from(ReadError::Refused(what));
        let variable = self.variables.get(name).ok_or_else(|| refused(format!("it has no {name}")))?.clone();
        if skip.checked_add(count).is_none_or(|end| end > variable.values()) {
            return Err(refused(format!("{name} has fewer than {skip} + {count} values")));
        }
        let width = variable.kind.width();
        self.file.seek(SeekFrom::Start(variable.at + skip * width)).map_err(ReadError::from)?;
        let piece = PIECE / align * align;
        let (mut bytes, mut values) = (Vec::new(), Vec::with_capacity(piece));
        let mut left = count;
        while left > 0 {
            let now = left.min(piece as u64);
            bytes.resize((now * width) as usize, 0);
            self.file.read_exact(&mut bytes).map_err(ReadError::from)?;
            values.clear();
            widen(variable.kind, &bytes, &mut values)
                .ok_or_else(|| refused(format!("{name} holds whole numbers instead of weights")))?;
            take(&values)?;
            left -= now;
        }
        Ok(())
    }

    fn read_table(&mut self) -> Result<(), ReadError> {
        let version = self.u32()?;
        // Every converter that knows Whisper writes this one.
        if version != 6 {
            return Err(ReadError::Refused(format!(
                "it is no CTranslate2 model of version 6 (its version reads {version})"
            )));
        }
        let spec = self.string()?;
        if spec != "WhisperSpec" {
            let spec: String = spec.chars().take(40).collect();
            return Err(ReadError::Refused(format!("it is a `{spec}`, not a Whisper model")));
        }
        let _revision = self.u32()?;
        let count = self.u32()?;
        if count > MAX_VARIABLES {
            return Err(ReadError::Refused(format!("it claims to have {count} variables")));
        }
        for _ in 0..count {
            let (name, variable) = self.entry()?;
            if self.variables.insert(name.clone(), variable).is_some() {
                return Err(ReadError::Refused(format!("it has {name} twice")));
            }
        }
        Ok(())
    }

    fn entry(&mut self) -> Result<(String, Variable), ReadError> {
        let name = self.string()?;
        let [rank] = self.bytes()?;
        if rank > MAX_RANK {
            return Err(ReadError::Refused(format!("{name} has {rank} dimensions")));
        }
        let shape = (0..rank).map(|_| self.u32()).collect::<Result<Vec<u32>, _>>()?;
        let [id] = self.bytes()?;
        let kind = Kind::from_id(id)
            .ok_or_else(|| ReadError::Refused(format!("{name} is of the unknown type {id}")))?;
        let bytes = u64::from(self.u32()?);
        let values = shape.iter().try_fold(1_u64, |n, &d| n.checked_mul(u64::from(d)));
        if values.and_then(|n| n.checked_mul(kind.width())) != Some(bytes) {
            return Err(ReadError::Refused(format!("{name} of shape {shape:?} has {bytes} bytes")));
        }
        let at = self.file.stream_position()?;
        if self.size.saturating_sub(at) < bytes {
            return Err(ReadError::CutShort(self.size));
        }
        // Fits: `bytes` came from a u32.
        self.file.seek_relative(bytes as i64)?;
        Ok((name, Variable { shape, kind, at }))
    }

    /// A length that includes the trailing NUL, then the text.
    fn string(&mut self) -> Result<String, ReadError> {
        let length = usize::from(u16::from_le_bytes(self.bytes()?));
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        if bytes.pop() != Some(0) {
            return Err(ReadError::Refused(
                "it is no CTranslate2 model (a name does not end in NUL)".to_owned(),
            ));
        }
        String::from_utf8(bytes)
            .ok()
            .filter(|s| s.chars().all(|c| c.is_ascii_graphic()))
            .ok_or_else(|| ReadError::Refused("it is no CTranslate2 model (a name is no text)".to_owned()))
    }

    fn u32(&mut self) -> Result<u32, ReadError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ReadError> {
        self.file.read_exact(bytes).map_err(|e| {
            if e.kind() == io::ErrorKind::UnexpectedEof { ReadError::CutShort(self.size) } else { e.into() }
        })
    }
}

/// `None` for whole numbers.
fn widen(kind: Kind, bytes: &[u8], into: &mut Vec<f32>) -> Option<()> {
    let (pairs, _) = bytes.as_chunks::<2>();
    match kind {
        Kind::F32 => into.extend(bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b))),
        Kind::F16 => into.extend(pairs.iter().map(|&b| half_to(u16::from_le_bytes(b)))),
        Kind::Bf16 => {
            into.extend(pairs.iter().map(|&b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)));
        }
        Kind::I8 | Kind::I16 | Kind::I32 => return None,
    }
    Some(())
}
