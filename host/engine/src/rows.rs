//! Records of numbers that cross the boundary as whole rows.
//!
//! The bindings store and load a record field by field, checking the bounds of
//! each; for the lists that hold one record per event that is most of what a
//! frame costs. A record of integers and floats without padding has the same
//! bytes in a guest's memory as here, so a list of them is one copy.
//!
//! Invariants: [`Row`] is implemented for `repr(C)` records without padding
//! only (`Pod` sees to it), their size and alignment equal the canonical
//! ABI's (checked when compiling), and their fields are compared with the
//! component's type before the first call, as for every other type.

use bytemuck::{Pod, Zeroable};
use wasmtime::Result;
use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext,
};
use wasmtime::component::{ComponentType, Lift, Lower};

#[cfg(target_endian = "big")]
compile_error!("rows are copied as they lie in memory, which a guest reads as little-endian");

/// A record that is copied as one row. See the module for what it must be.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Row<T>(pub(crate) T);

impl<T: ComponentType + Pod> Row<T> {
    const FITS: () = assert!(
        size_of::<T>() == T::SIZE32 && align_of::<T>() == T::ALIGN32 as usize,
        "the record's layout differs from the canonical ABI's"
    );
}

/// # Safety
/// Forwards to the record's derived implementation.
#[expect(unsafe_code, reason = "the trait is unsafe to implement")]
unsafe impl<T: ComponentType + Pod> ComponentType for Row<T> {
    type Lower = T::Lower;
    const ABI: CanonicalAbiInfo = T::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        T::typecheck(ty, types)
    }
}

/// # Safety
/// One row is lowered by the record's derived implementation; a list of them
/// as the bytes they are, which is what that implementation would write.
#[expect(unsafe_code, reason = "the trait is unsafe to implement")]
unsafe impl<T: Lower + Pod> Lower for Row<T> {
    fn linear_lower_to_flat<U>(
        &self,
        context: &mut LowerContext<'_, U>,
        ty: InterfaceType,
        target: &mut std::mem::MaybeUninit<Self::Lower>,
    ) -> Result<()> {
        self.0.linear_lower_to_flat(context, ty, target)
    }

    fn linear_lower_to_memory<U>(
        &self,
        context: &mut LowerContext<'_, U>,
        ty: InterfaceType,
        offset: usize,
    ) -> Result<()> {
        self.0.linear_lower_to_memory(context, ty, offset)
    }

    fn linear_store_list_to_memory<U>(
        context: &mut LowerContext<'_, U>,
        _: InterfaceType,
        offset: usize,
        items: &[Self],
    ) -> Result<()> {
        let () = Self::FITS;
        // A transparent wrapper around plain bytes.
        let rows: &[T] = bytemuck::TransparentWrapper::peel_slice(items);
        u8::linear_store_list_to_memory(
            context,
            InterfaceType::U8,
            offset,
            bytemuck::cast_slice(rows),
        )
    }
}

/// # Safety
/// Every bit pattern is a value of the record (`Pod`), so reading its bytes is
/// what the derived implementation would do field by field.
#[expect(unsafe_code, reason = "the trait is unsafe to implement")]
unsafe impl<T: Lift + Pod> Lift for Row<T> {
    fn linear_lift_from_flat(
        context: &mut LiftContext<'_>,
        ty: InterfaceType,
        source: &Self::Lower,
    ) -> Result<Self> {
        T::linear_lift_from_flat(context, ty, source).map(Self)
    }

    fn linear_lift_from_memory(
        context: &mut LiftContext<'_>,
        ty: InterfaceType,
        bytes: &[u8],
    ) -> Result<Self> {
        let () = Self::FITS;
        match bytemuck::try_pod_read_unaligned(bytes) {
            Ok(record) => Ok(Self(record)),
            Err(_) => T::linear_lift_from_memory(context, ty, bytes).map(Self),
        }
    }
}

/// # Safety
/// The type is `repr(transparent)` around `T`.
#[expect(unsafe_code, reason = "the trait is unsafe to implement")]
unsafe impl<T> bytemuck::TransparentWrapper<T> for Row<T> {}

macro_rules! row {
    ($(#[$doc:meta])* $name:ident { $($(#[$rename:meta])? $field:ident: $kind:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable, ComponentType, Lower, Lift)]
        #[component(record)]
        #[repr(C)]
        pub(crate) struct $name {
            $($(#[$rename])? pub(crate) $field: $kind,)+
        }
    };
}

row! {
    /// `types.span`
    Span { start: u32, length: u32, }
}

row! {
    /// `detection.event`: the numbers of one event.
    EventNumbers {
        time: i64,
        user: u64,
        session: u64,
        device: u64,
        #[component(name = "user-agent")] user_agent: u64,
        #[component(name = "address-high")] address_high: u64,
        #[component(name = "address-low")] address_low: u64,
        latitude: f64,
        longitude: f64,
        accuracy: f32,
        #[component(name = "as-number")] as_number: u32,
        country: u32,
        #[component(name = "network-kind")] network_kind: u32,
        activity: u32,
        status: u32,
    }
}

row! {
    /// `detection.group`
    Group { first: u32, count: u32, state: Span, }
}

row! {
    /// `detection.change`
    Change { group: u32, state: Span, }
}

row! {
    /// `mapping.event`
    RequestNumbers { status: u32, #[component(name = "server-port")] server_port: u32, }
}

row! {
    /// `mapping.mapped`
    Mapped { event: u32, annotation: u32, }
}

row! {
    /// `mapping.computed`
    Computed { event: u32, field: u32, text: Span, }
}
