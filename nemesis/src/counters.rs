//! Structures of counters that can be summed, and subtracted to get what was counted in between.

/// Defines such a structure.
macro_rules! counters {
    ($(#[$meta:meta])* pub struct $Name:ident { $($(#[$doc:meta])* pub $field:ident: u64,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct $Name {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl std::ops::AddAssign for $Name {
            fn add_assign(&mut self, other: $Name) {
                $(self.$field += other.$field;)*
            }
        }

        impl std::ops::Sub for $Name {
            type Output = $Name;

            fn sub(self, earlier: $Name) -> $Name {
                $Name { $($field: self.$field - earlier.$field),* }
            }
        }
    };
}
pub(crate) use counters;
