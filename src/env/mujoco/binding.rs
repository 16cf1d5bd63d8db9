//! The dozen functions of MuJoCo's C interface that the environments need; nothing else in here is `unsafe`.
//!
//! Everything is asked for through functions: no field of `mjModel` or `mjData` is read, because their offsets change from
//! version to version. What the functions take and give has been the same since MuJoCo 3.0, but for the bits of `mjtState`,
//! which [`Parts`] keeps by version.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use libloading::Library;

use super::error::{LoadError, reason};
use super::version::Version;

type Model = c_void;
type Data = c_void;

/// The functions, by the names that the library exports them under.
#[derive(Clone, Copy)]
struct Functions {
    load_xml: unsafe extern "C" fn(*const c_char, *const c_void, *mut c_char, c_int) -> *mut Model,
    delete_model: unsafe extern "C" fn(*mut Model),
    make_data: unsafe extern "C" fn(*const Model) -> *mut Data,
    delete_data: unsafe extern "C" fn(*mut Data),
    reset_data: unsafe extern "C" fn(*const Model, *mut Data),
    step: unsafe extern "C" fn(*const Model, *mut Data),
    forward: unsafe extern "C" fn(*const Model, *mut Data),
    state_size: unsafe extern "C" fn(*const Model, c_uint) -> c_int,
    get_state: unsafe extern "C" fn(*const Model, *const Data, *mut f64, c_uint),
    set_state: unsafe extern "C" fn(*const Model, *mut Data, *const f64, c_uint),
}

/// MuJoCo's library, loaded.
pub(super) struct Engine {
    functions: Functions,
    parts: Parts,
    version: Version,
    // Dropped last: the functions are in it.
    _library: Library,
}

/// A part of the state, as bits of `mjtState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part(c_uint);

/// The parts of the state that planar walkers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// Positions of the joints.
    pub position: Part,
    /// Velocities of the joints.
    pub velocity: Part,
    /// What the motors do.
    pub control: Part,
    /// All that the next step depends on: time, positions, velocities, controls, and the accelerations that the solver
    /// starts from.
    pub everything: Part,
}

impl Parts {
    /// In 3.5.0 a part was put in between, and those behind it moved by a bit.
    pub fn of(version: Version) -> Self {
        const TIME: c_uint = 1 << 0;
        const POSITION: c_uint = 1 << 1;
        const VELOCITY: c_uint = 1 << 2;
        let (warm_start, control) = if version < Version([3, 5, 0]) {
            (1 << 4, 1 << 5)
        } else {
            (1 << 5, 1 << 6)
        };
        Parts {
            position: Part(POSITION),
            velocity: Part(VELOCITY),
            control: Part(control),
            everything: Part(TIME | POSITION | VELOCITY | warm_start | control),
        }
    }
}

thread_local! {
    /// Whether this thread compiles a model: what MuJoCo has to say about yarak's own models is not for its users.
    static COMPILING: Cell<bool> = const { Cell::new(false) };
}

/// The library writes its warnings to standard output, and into a file in the working directory, unless somebody listens.
extern "C" fn warn(message: *const c_char) {
    if message.is_null() || COMPILING.get() {
        return;
    }
    // SAFETY: MuJoCo calls it with a string that ends with a zero and that lives until it returns.
    let message = unsafe { CStr::from_ptr(message) };
    crate::terminal::message(&format!("warning: MuJoCo: {}", message.to_string_lossy()));
}

impl Engine {
    /// Loads the library at `path`, or the one that the system finds under this name.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        // SAFETY: loading runs the library's initializers, which is what the user asks for who names or installs it;
        // MuJoCo's have no preconditions.
        let library =
            unsafe { Library::new(path) }.map_err(|error| LoadError::not_loaded(&error))?;
        let version = version_of(&library)?;
        if version < Version::OLDEST {
            return Err(LoadError::TooOld { version });
        }
        // SAFETY: the types are those that mujoco.h declares since 3.0 (`int` and `unsigned` flags pass alike; `mjtNum` is
        // `double` unless the library was built otherwise, which `Simulated::new` finds out before anything is computed).
        let functions = unsafe {
            Functions {
                load_xml: *symbol(&library, c"mj_loadXML")?,
                delete_model: *symbol(&library, c"mj_deleteModel")?,
                make_data: *symbol(&library, c"mj_makeData")?,
                delete_data: *symbol(&library, c"mj_deleteData")?,
                reset_data: *symbol(&library, c"mj_resetData")?,
                step: *symbol(&library, c"mj_step")?,
                forward: *symbol(&library, c"mj_forward")?,
                state_size: *symbol(&library, c"mj_stateSize")?,
                get_state: *symbol(&library, c"mj_getState")?,
                set_state: *symbol(&library, c"mj_setState")?,
            }
        };
        // SAFETY: `mju_user_warning` is a variable that holds a pointer to a function or null, and `warn` has that
        // function's type. It is written once, before any function of the library is called that reads it.
        unsafe {
            let listener =
                symbol::<*mut Option<extern "C" fn(*const c_char)>>(&library, c"mju_user_warning")?;
            **listener = Some(warn);
        }
        Ok(Engine {
            functions,
            parts: Parts::of(version),
            version,
            _library: library,
        })
    }

    /// The library's own version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The parts of the state in this version.
    pub fn parts(&self) -> Parts {
        self.parts
    }
}

/// # Safety
/// `T` must be the type of what the library exports under this name: a pointer to a function, or to a variable.
unsafe fn symbol<'a, T>(
    library: &'a Library,
    name: &CStr,
) -> Result<libloading::Symbol<'a, T>, LoadError> {
    // SAFETY: the caller's.
    unsafe { library.get(name) }.map_err(|error| LoadError::Symbol {
        name: name.to_string_lossy().into_owned(),
        reason: reason(&error),
    })
}

fn version_of(library: &Library) -> Result<Version, LoadError> {
    // SAFETY: `const char* mj_versionString(void)`, in every version; what it gives is a constant that ends with a zero.
    let text = unsafe {
        let version_string =
            symbol::<unsafe extern "C" fn() -> *const c_char>(library, c"mj_versionString")?;
        let text = version_string();
        if text.is_null() {
            return Err(LoadError::Version {
                text: String::new(),
            });
        }
        CStr::from_ptr(text).to_string_lossy().into_owned()
    };
    Version::parse(&text).ok_or(LoadError::Version { text })
}

/// A model that was compiled from MJCF, which never changes.
pub(super) struct CompiledModel {
    model: NonNull<Model>,
    engine: Arc<Engine>,
}

// SAFETY: the model is only ever read: every function that is called with it takes `const mjModel*`, and MuJoCo allows threads
// to share one.
unsafe impl Send for CompiledModel {}
// SAFETY: as above.
unsafe impl Sync for CompiledModel {}

impl CompiledModel {
    /// Reads and compiles a file of MJCF; what MuJoCo says where it refuses.
    pub fn compile(engine: Arc<Engine>, file: &Path) -> Result<Self, String> {
        let path = CString::new(file.to_string_lossy().as_bytes())
            .map_err(|_| format!("{}: a path with a zero byte", file.display()))?;
        let mut message = [0; 1024];
        COMPILING.set(true);
        // SAFETY: the path ends with a zero; no virtual file system; the buffer is as long as is said.
        let model = unsafe {
            let length = message.len() as c_int;
            (engine.functions.load_xml)(path.as_ptr(), ptr::null(), message.as_mut_ptr(), length)
        };
        COMPILING.set(false);
        match NonNull::new(model) {
            Some(model) => Ok(CompiledModel { model, engine }),
            None => {
                // One zero is left at the end, whatever was written.
                message[1023] = 0;
                // SAFETY: there is a zero in the buffer.
                let message = unsafe { CStr::from_ptr(message.as_ptr()) };
                Err(message.to_string_lossy().into_owned())
            }
        }
    }

    /// The library that compiled it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How many numbers a part of the state has.
    pub fn size(&self, part: Part) -> usize {
        // SAFETY: the model is alive, and the bits are some that this version knows.
        let size = unsafe { (self.engine.functions.state_size)(self.model.as_ptr(), part.0) };
        usize::try_from(size).unwrap_or(0)
    }
}

impl Drop for CompiledModel {
    fn drop(&mut self) {
        // SAFETY: it was made by `mj_loadXML` and is deleted once; every `Simulated` of it is gone, for each holds an `Arc`.
        unsafe { (self.engine.functions.delete_model)(self.model.as_ptr()) }
    }
}

/// One simulation of a model.
pub(super) struct Simulated {
    data: NonNull<Data>,
    model: Arc<CompiledModel>,
}

// SAFETY: MuJoCo keeps nothing of an `mjData` in the thread that made it; it may be moved, and is never shared (no `Sync`).
unsafe impl Send for Simulated {}

impl Simulated {
    /// A simulation in the model's first state; `None` where there is no memory for it.
    pub fn new(model: Arc<CompiledModel>) -> Option<Self> {
        // SAFETY: the model is alive.
        let data = unsafe { (model.engine.functions.make_data)(model.model.as_ptr()) };
        NonNull::new(data).map(|data| Simulated { data, model })
    }

    /// The model.
    pub fn model(&self) -> &Arc<CompiledModel> {
        &self.model
    }

    fn functions(&self) -> &Functions {
        &self.model.engine.functions
    }

    /// Goes back to the model's first state.
    pub fn reset(&mut self) {
        // SAFETY: both are alive, and the data was made of this model.
        unsafe { (self.functions().reset_data)(self.model.model.as_ptr(), self.data.as_ptr()) }
    }

    /// Moves on by one step of the physics.
    pub fn step(&mut self) {
        // SAFETY: as in `reset`.
        unsafe { (self.functions().step)(self.model.model.as_ptr(), self.data.as_ptr()) }
    }

    /// Computes what follows from the state, without moving.
    pub fn forward(&mut self) {
        // SAFETY: as in `reset`.
        unsafe { (self.functions().forward)(self.model.model.as_ptr(), self.data.as_ptr()) }
    }

    /// Copies a part of the state out.
    ///
    /// # Panics
    /// When `values` has another length than the part: a mistake of this module's caller, who asked for the size.
    pub fn get(&self, part: Part, values: &mut [f64]) {
        assert_eq!(values.len(), self.model.size(part));
        // SAFETY: as in `reset`; the function writes exactly as many numbers as `mj_stateSize` says, which fit.
        unsafe {
            let (model, data) = (self.model.model.as_ptr(), self.data.as_ptr());
            (self.functions().get_state)(model, data, values.as_mut_ptr(), part.0);
        }
    }

    /// Copies a part of the state in.
    ///
    /// # Panics
    /// As [`get`](Self::get).
    pub fn set(&mut self, part: Part, values: &[f64]) {
        assert_eq!(values.len(), self.model.size(part));
        // SAFETY: as in `get`; the function reads as many numbers.
        unsafe {
            let (model, data) = (self.model.model.as_ptr(), self.data.as_ptr());
            (self.functions().set_state)(model, data, values.as_ptr(), part.0);
        }
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        // SAFETY: it was made by `mj_makeData` and is deleted once.
        unsafe { (self.functions().delete_data)(self.data.as_ptr()) }
    }
}
