//! A real gRPC client of the policy engine's service, which blocks.

use std::net::SocketAddr;
use std::time::Duration;

use lictor::api::policy_engine::v1::policy_engine_service_client::PolicyEngineServiceClient;
use lictor::api::policy_engine::v1::{
    CheckAccessRequest, CheckAccessResponse, CreatePolicyRequest, CreatePolicyResponse,
    DeletePolicyRequest, DeletePolicyResponse, GetPolicyRequest, GetPolicyResponse,
    HealthCheckRequest, HealthCheckResponse, ListPoliciesRequest, ListPoliciesResponse,
    UpdatePolicyRequest, UpdatePolicyResponse, ValidateConsumptionRequest,
    ValidateConsumptionResponse, ValidateServiceRequest, ValidateServiceResponse,
};
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(70);

/// A connection, and what is said with every call.
#[derive(Debug)]
pub struct Engine {
    pub runtime: Runtime,
    pub channel: Channel,
    metadata: Vec<(&'static str, String)>,
}

macro_rules! methods {
    ($($name:ident($request:ty) -> $response:ty;)*) => {
        $(pub fn $name(&self, message: $request) -> Result<Response<$response>, Status> {
            let request = self.request(message);
            let mut client = PolicyEngineServiceClient::new(self.channel.clone());
            self.runtime.block_on(client.$name(request))
        })*
    };
}

impl Engine {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = runtime.block_on(endpoint.connect()).unwrap();
        Self {
            runtime,
            channel,
            metadata: Vec::new(),
        }
    }

    /// The same connection with another thing said with every call.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.metadata.retain(|(known, _)| *known != name);
        self.metadata.push((name, value.into()));
        self
    }

    /// Calls with this token.
    pub fn token(self, token: &str) -> Self {
        self.with("authorization", format!("Bearer {token}"))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if !self
            .metadata
            .iter()
            .any(|(name, _)| *name == "grpc-timeout")
        {
            request.set_timeout(PATIENCE);
        }
        for (name, value) in &self.metadata {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        request
    }

    methods! {
        validate_service(ValidateServiceRequest) -> ValidateServiceResponse;
        check_access(CheckAccessRequest) -> CheckAccessResponse;
        validate_consumption(ValidateConsumptionRequest) -> ValidateConsumptionResponse;
        get_policy(GetPolicyRequest) -> GetPolicyResponse;
        list_policies(ListPoliciesRequest) -> ListPoliciesResponse;
        create_policy(CreatePolicyRequest) -> CreatePolicyResponse;
        update_policy(UpdatePolicyRequest) -> UpdatePolicyResponse;
        delete_policy(DeletePolicyRequest) -> DeletePolicyResponse;
        health_check(HealthCheckRequest) -> HealthCheckResponse;
    }
}
