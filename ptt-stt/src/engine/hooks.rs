//! The callbacks that whisper.cpp and ggml take as raw pointers: stop, watch, log. All the crate's unsafe code is here.
//!
//! whisper.cpp 1.8.3 asks its abort callback after each pass of encoder or decoder only, and an encoder pass can take
//! more than a second. ggml's CPU backend has a callback of its own that is asked after every node of a graph, but
//! whisper.cpp keeps the backend to itself. So the backend is noted when it is made: the CPU device's constructor, a
//! function pointer in ggml's device table, is replaced by one that calls the original and remembers the result.
#![expect(unsafe_code, reason = "C callbacks of whisper.cpp and ggml")]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::slice;
use std::sync::OnceLock;

use ptt_messages::Moment;
use whisper_rs::FullParams;
use whisper_rs::whisper_rs_sys as sys;

use super::CancelFlag;
use super::limits::goes_in_circles;

/// The ggml that the layout of [`DeviceTable`] is known for.
const KNOWN_WHISPER: &str = "1.8.3";

/// Looked at by the engine while it computes. Stays where it is as long as a [`Watched`] has it.
#[derive(Debug)]
pub(super) struct Watch {
    cancel: CancelFlag,
    deadline: Moment,
    /// From this token on a repetition ends the decode: more than a clip of this length can hold.
    loops_from: usize,
    end_of_text: usize,
    vocabulary: usize,
    /// When the first token was about to be chosen: the encoder is done.
    pub(super) encoded: Option<Moment>,
    /// Whether it was stopped for repeating itself.
    pub(super) looped: bool,
}

impl Watch {
    pub(super) fn new(cancel: &CancelFlag, deadline: Moment, loops_from: usize, words: Vocabulary) -> Self {
        Self {
            cancel: cancel.clone(),
            deadline,
            loops_from,
            end_of_text: words.end_of_text,
            vocabulary: words.size,
            encoded: None,
            looped: false,
        }
    }

    /// Whether nobody waits for the result any more.
    pub(super) fn over(&self) -> bool {
        self.cancel.is_set() || Moment::now() > self.deadline
    }
}

/// Numbers of the model's vocabulary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vocabulary {
    pub(super) size: usize,
    pub(super) end_of_text: usize,
}

/// ggml's CPU backend of one whisper state; valid as long as that state is.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuBackend(sys::ggml_backend_t);

// SAFETY: the pointer is used by the thread that has the state, through `Watched`, and nowhere else.
unsafe impl Send for CpuBackend {}

/// Runs `full` with all callbacks set to `watch`, and takes them back after it.
pub(super) fn watched<T>(
    watch: &mut Watch,
    backend: Option<CpuBackend>,
    mut params: FullParams<'_, '_>,
    full: impl FnOnce(FullParams<'_, '_>) -> T,
) -> T {
    let data = ptr::from_mut(watch).cast::<c_void>();
    // SAFETY: the callbacks get `data` as a `Watch`, which outlives this call; `params` is consumed by `full` and the
    // backend forgets the pointer when `_forget` is dropped, also in a panic. All of them run on threads of this
    // decode: `should_stop` only reads what no other callback writes.
    unsafe {
        params.set_abort_callback(Some(should_stop));
        params.set_abort_callback_user_data(data);
        params.set_filter_logits_callback(Some(before_token));
        params.set_filter_logits_callback_user_data(data);
        if let Some(CpuBackend(backend)) = backend {
            sys::ggml_backend_cpu_set_abort_callback(backend, Some(should_stop), data);
        }
    }
    let _forget = Forget(backend);
    full(params)
}

struct Forget(Option<CpuBackend>);

impl Drop for Forget {
    fn drop(&mut self) {
        if let Some(CpuBackend(backend)) = self.0 {
            // SAFETY: the backend lives as long as the state that `watched` ran.
            unsafe { sys::ggml_backend_cpu_set_abort_callback(backend, None, ptr::null_mut()) };
        }
    }
}

unsafe extern "C" fn should_stop(data: *mut c_void) -> bool {
    // SAFETY: `watched` gave a `Watch`; only the two fields read here are touched, and nothing writes them.
    unsafe {
        let watch = data.cast::<Watch>();
        (*watch).cancel.is_set() || Moment::now() > (*watch).deadline
    }
}

/// Called before each token is chosen: notes the end of the encoder, and ends a decode that goes in circles by leaving
/// it no other token than the end of the text.
unsafe extern "C" fn before_token(
    _: *mut sys::whisper_context,
    _: *mut sys::whisper_state,
    tokens: *const sys::whisper_token_data,
    count: c_int,
    logits: *mut f32,
    data: *mut c_void,
) {
    // SAFETY: `watched` gave a `Watch`, and no other callback runs while a token is chosen.
    let watch = unsafe { &mut *data.cast::<Watch>() };
    watch.encoded.get_or_insert_with(Moment::now);
    let count = usize::try_from(count).unwrap_or(0);
    if count < watch.loops_from || tokens.is_null() {
        return;
    }
    // SAFETY: whisper.cpp passes as many tokens as it says.
    let tokens: Vec<i32> = unsafe { slice::from_raw_parts(tokens, count) }.iter().map(|t| t.id).collect();
    if goes_in_circles(&tokens) {
        watch.looped = true;
        // SAFETY: one logit per entry of the vocabulary.
        let logits = unsafe { slice::from_raw_parts_mut(logits, watch.vocabulary) };
        logits.fill(f32::NEG_INFINITY);
        if let Some(end) = logits.get_mut(watch.end_of_text) {
            *end = 0.0;
        }
    }
}

/// The head of ggml's `ggml_backend_device`, as far as it is needed.
#[repr(C)]
struct DeviceTable {
    get_name: unsafe extern "C" fn(sys::ggml_backend_dev_t) -> *const c_char,
    get_description: *const c_void,
    get_memory: *const c_void,
    get_type: unsafe extern "C" fn(sys::ggml_backend_dev_t) -> sys::ggml_backend_dev_type,
    get_props: *const c_void,
    init_backend: InitBackend,
}

type InitBackend = unsafe extern "C" fn(sys::ggml_backend_dev_t, *const c_char) -> sys::ggml_backend_t;

/// The device's own constructor; empty when the table is not the known one.
static ORIGINAL: OnceLock<Option<InitBackend>> = OnceLock::new();

thread_local! {
    static NOTED: Cell<sys::ggml_backend_t> = const { Cell::new(ptr::null_mut()) };
}

/// Runs `make`, which makes a whisper state, and gives the CPU backend made in it. `None` when that could not be
/// noted: then a decode stops after its current pass only.
pub(super) fn noting_backend<T>(make: impl FnOnce() -> T) -> (T, Option<CpuBackend>) {
    ORIGINAL.get_or_init(replace_constructor);
    NOTED.set(ptr::null_mut());
    let made = make();
    let backend = NOTED.replace(ptr::null_mut());
    // SAFETY: `ggml_backend_is_cpu` takes any backend; this one was made by `make` a moment ago.
    let known = !backend.is_null() && unsafe { sys::ggml_backend_is_cpu(backend) };
    (made, known.then_some(CpuBackend(backend)))
}

fn replace_constructor() -> Option<InitBackend> {
    if whisper_rs::WHISPER_CPP_VERSION != KNOWN_WHISPER {
        return None;
    }
    let cpu = sys::ggml_backend_dev_type_GGML_BACKEND_DEVICE_TYPE_CPU;
    // SAFETY: the device is a static, writable object of this version of ggml that begins with the table; the public
    // functions and the table must agree about it before it is changed. Once, under the `OnceLock`, before any
    // backend is made in this process.
    unsafe {
        let device = sys::ggml_backend_dev_by_type(cpu);
        let table = device.cast::<DeviceTable>();
        if table.is_null()
            || ((*table).get_name)(device) != sys::ggml_backend_dev_name(device)
            || ((*table).get_type)(device) != cpu
        {
            return None;
        }
        let original = (*table).init_backend;
        (*table).init_backend = note_backend;
        Some(original)
    }
}

unsafe extern "C" fn note_backend(
    device: sys::ggml_backend_dev_t,
    params: *const c_char,
) -> sys::ggml_backend_t {
    // `wait`: another thread may get here before `replace_constructor` has returned the original to the cell.
    let Some(original) = ORIGINAL.wait() else { return ptr::null_mut() };
    // SAFETY: called as ggml would have called it.
    let backend = unsafe { original(device, params) };
    NOTED.set(backend);
    backend
}

/// Sends what whisper.cpp and ggml print to `tracing` instead of stderr. Their errors become errors of ours, so they
/// are details here; what they say when built for debugging holds the words, so it is dropped.
pub(super) fn redirect_logs() {
    // SAFETY: the callback is a function without state.
    unsafe {
        sys::whisper_log_set(Some(log_line), ptr::null_mut());
        sys::ggml_log_set(Some(log_line), ptr::null_mut());
    }
}

unsafe extern "C" fn log_line(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: a C string that lives for this call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let text = text.trim_end();
    if level == sys::ggml_log_level_GGML_LOG_LEVEL_ERROR || level == sys::ggml_log_level_GGML_LOG_LEVEL_WARN {
        tracing::debug!(target: "ptt_stt::whisper_cpp", "{text}");
    } else if level == sys::ggml_log_level_GGML_LOG_LEVEL_INFO && !text.is_empty() {
        tracing::trace!(target: "ptt_stt::whisper_cpp", "{text}");
    }
}
