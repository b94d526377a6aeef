CREATE TABLE products (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    -- In minor units.
    price BIGINT NOT NULL CHECK (price >= 0),
    -- What can still be reserved.
    quantity BIGINT NOT NULL CHECK (quantity >= 0)
);

-- What was taken out of `products.quantity` for an order; `order_key` makes it happen once.
CREATE TABLE reservations (
    order_key TEXT PRIMARY KEY,
    product_id BIGINT NOT NULL,
    product_name TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    unit_price BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('held', 'sold', 'released'))
);

CREATE TABLE numbers (name TEXT PRIMARY KEY, last BIGINT NOT NULL);
INSERT INTO numbers (name, last) VALUES ('products', 0);
