package api

import "encoding/json"

// stateError is the answer to what needs the state of accounts, which is not kept
// here: transactions are not executed.
type stateError struct{ method string }

func (e stateError) Error() string {
	return e.method + " needs the state of accounts: this node keeps blocks and executes none"
}

// ErrorCode says that the method is not supported (EIP-1474).
func (stateError) ErrorCode() int { return -32004 }

// The methods that need the state say so, whatever they are asked.

// GetBalance is eth_getBalance.
func (ethAPI) GetBalance(_, _ *json.RawMessage) (any, error) {
	return nil, stateError{"eth_getBalance"}
}

// GetCode is eth_getCode.
func (ethAPI) GetCode(_, _ *json.RawMessage) (any, error) { return nil, stateError{"eth_getCode"} }

// GetTransactionCount is eth_getTransactionCount.
func (ethAPI) GetTransactionCount(_, _ *json.RawMessage) (any, error) {
	return nil, stateError{"eth_getTransactionCount"}
}

// GetStorageAt is eth_getStorageAt.
func (ethAPI) GetStorageAt(_, _, _ *json.RawMessage) (any, error) {
	return nil, stateError{"eth_getStorageAt"}
}

// Call is eth_call.
func (ethAPI) Call(_, _, _, _ *json.RawMessage) (any, error) {
	return nil, stateError{"eth_call"}
}

// EstimateGas is eth_estimateGas.
func (ethAPI) EstimateGas(_, _, _, _ *json.RawMessage) (any, error) {
	return nil, stateError{"eth_estimateGas"}
}

// GetProof is eth_getProof.
func (ethAPI) GetProof(_, _, _ *json.RawMessage) (any, error) { return nil, stateError{"eth_getProof"} }
