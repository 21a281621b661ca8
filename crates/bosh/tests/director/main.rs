//! A real director's services, stopped and started as its login user would, with what goes wrong there.

mod guard;
mod lifecycle;
mod race;
mod scene;
