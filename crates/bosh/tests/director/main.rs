//! A real director's services, stopped and started as its login user would, with what goes wrong there.

mod guard;
mod killed;
mod lifecycle;
mod race;
mod scene;
